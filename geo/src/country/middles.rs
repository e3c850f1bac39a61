//! Where is the middle of a country: one representative point for every assigned code.
//!
//! Source: the geographic coordinates of the CIA World Factbook (public domain), rounded; for the United States the
//! centre of the contiguous states, for Australia, Germany and India that of the mainland, for French Polynesia its main
//! island. Compared with the principal places of the tz database (`zone.tab`, public domain). Good to a few degrees:
//! enough to tell which region is nearer, not to tell where somebody lives.

use super::{CODES, Country, index_of};
use crate::Coordinates;

impl Country {
    /// A representative point. `None` exactly if the code is not assigned (see [`Country::is_assigned`]).
    pub fn middle(self) -> Option<Coordinates> {
        BY_INDEX[self.index()]
    }

    /// Whether ISO 3166-1 assigns the code, or common usage does (`XK`, Kosovo). `ZZ`, `EU` or `UK` are not.
    pub fn is_assigned(self) -> bool {
        self.middle().is_some()
    }

    /// Every assigned code, in alphabetical order.
    pub fn assigned() -> impl Iterator<Item = Self> + Clone {
        MIDDLES.iter().map(|(code, ..)| Self(*code))
    }
}

static BY_INDEX: [Option<Coordinates>; CODES] = by_index();

const fn by_index() -> [Option<Coordinates>; CODES] {
    let mut table = [None; CODES];
    let mut row = 0;
    while row < MIDDLES.len() {
        let (code, latitude, longitude) = MIDDLES[row];
        table[index_of(code)] = match Coordinates::new(latitude, longitude) {
            Ok(middle) => Some(middle),
            Err(_) => None,
        };
        row += 1;
    }
    table
}

/// Code, degrees north, degrees east.
const MIDDLES: [([u8; 2], f64, f64); 250] = [
    (*b"AD", 42.5, 1.5),     // Andorra
    (*b"AE", 24.0, 54.0),    // United Arab Emirates
    (*b"AF", 33.0, 65.0),    // Afghanistan
    (*b"AG", 17.1, -61.8),   // Antigua & Barbuda
    (*b"AI", 18.2, -63.1),   // Anguilla
    (*b"AL", 41.0, 20.0),    // Albania
    (*b"AM", 40.0, 45.0),    // Armenia
    (*b"AO", -12.5, 18.5),   // Angola
    (*b"AQ", -90.0, 0.0),    // Antarctica
    (*b"AR", -34.0, -64.0),  // Argentina
    (*b"AS", -14.3, -170.7), // American Samoa
    (*b"AT", 47.3, 13.3),    // Austria
    (*b"AU", -25.0, 134.0),  // Australia
    (*b"AW", 12.5, -70.0),   // Aruba
    (*b"AX", 60.2, 20.0),    // Åland Islands
    (*b"AZ", 40.5, 47.5),    // Azerbaijan
    (*b"BA", 44.0, 18.0),    // Bosnia & Herzegovina
    (*b"BB", 13.2, -59.5),   // Barbados
    (*b"BD", 24.0, 90.0),    // Bangladesh
    (*b"BE", 50.8, 4.0),     // Belgium
    (*b"BF", 13.0, -2.0),    // Burkina Faso
    (*b"BG", 43.0, 25.0),    // Bulgaria
    (*b"BH", 26.0, 50.6),    // Bahrain
    (*b"BI", -3.5, 30.0),    // Burundi
    (*b"BJ", 9.5, 2.3),      // Benin
    (*b"BL", 17.9, -62.8),   // St Barthelemy
    (*b"BM", 32.3, -64.8),   // Bermuda
    (*b"BN", 4.5, 114.7),    // Brunei
    (*b"BO", -17.0, -65.0),  // Bolivia
    (*b"BQ", 12.2, -68.3),   // Caribbean NL
    (*b"BR", -10.0, -55.0),  // Brazil
    (*b"BS", 24.3, -76.0),   // Bahamas
    (*b"BT", 27.5, 90.5),    // Bhutan
    (*b"BV", -54.4, 3.4),    // Bouvet Island
    (*b"BW", -22.0, 24.0),   // Botswana
    (*b"BY", 53.0, 28.0),    // Belarus
    (*b"BZ", 17.3, -88.8),   // Belize
    (*b"CA", 60.0, -95.0),   // Canada
    (*b"CC", -12.5, 96.8),   // Cocos (Keeling) Islands
    (*b"CD", 0.0, 25.0),     // Congo (Dem. Rep.)
    (*b"CF", 7.0, 21.0),     // Central African Rep.
    (*b"CG", -1.0, 15.0),    // Congo (Rep.)
    (*b"CH", 47.0, 8.0),     // Switzerland
    (*b"CI", 8.0, -5.0),     // Côte d'Ivoire
    (*b"CK", -21.2, -159.8), // Cook Islands
    (*b"CL", -30.0, -71.0),  // Chile
    (*b"CM", 6.0, 12.0),     // Cameroon
    (*b"CN", 35.0, 105.0),   // China
    (*b"CO", 4.0, -72.0),    // Colombia
    (*b"CR", 10.0, -84.0),   // Costa Rica
    (*b"CU", 21.5, -80.0),   // Cuba
    (*b"CV", 16.0, -24.0),   // Cape Verde
    (*b"CW", 12.2, -69.0),   // Curaçao
    (*b"CX", -10.5, 105.7),  // Christmas Island
    (*b"CY", 35.0, 33.0),    // Cyprus
    (*b"CZ", 49.8, 15.5),    // Czech Republic
    (*b"DE", 51.0, 10.0),    // Germany
    (*b"DJ", 11.5, 43.0),    // Djibouti
    (*b"DK", 56.0, 10.0),    // Denmark
    (*b"DM", 15.4, -61.3),   // Dominica
    (*b"DO", 19.0, -70.7),   // Dominican Republic
    (*b"DZ", 28.0, 3.0),     // Algeria
    (*b"EC", -2.0, -77.5),   // Ecuador
    (*b"EE", 59.0, 26.0),    // Estonia
    (*b"EG", 27.0, 30.0),    // Egypt
    (*b"EH", 24.5, -13.0),   // Western Sahara
    (*b"ER", 15.0, 39.0),    // Eritrea
    (*b"ES", 40.0, -4.0),    // Spain
    (*b"ET", 8.0, 38.0),     // Ethiopia
    (*b"FI", 64.0, 26.0),    // Finland
    (*b"FJ", -18.0, 178.0),  // Fiji
    (*b"FK", -51.8, -59.0),  // Falkland Islands
    (*b"FM", 6.9, 158.2),    // Micronesia
    (*b"FO", 62.0, -7.0),    // Faroe Islands
    (*b"FR", 46.0, 2.0),     // France
    (*b"GA", -1.0, 11.8),    // Gabon
    (*b"GB", 54.0, -2.0),    // United Kingdom
    (*b"GD", 12.1, -61.7),   // Grenada
    (*b"GE", 42.0, 43.5),    // Georgia
    (*b"GF", 4.0, -53.0),    // French Guiana
    (*b"GG", 49.5, -2.6),    // Guernsey
    (*b"GH", 8.0, -2.0),     // Ghana
    (*b"GI", 36.1, -5.3),    // Gibraltar
    (*b"GL", 72.0, -40.0),   // Greenland
    (*b"GM", 13.5, -15.5),   // Gambia
    (*b"GN", 11.0, -10.0),   // Guinea
    (*b"GP", 16.2, -61.6),   // Guadeloupe
    (*b"GQ", 2.0, 10.0),     // Equatorial Guinea
    (*b"GR", 39.0, 22.0),    // Greece
    (*b"GS", -54.5, -37.0),  // South Georgia & the South Sandwich Islands
    (*b"GT", 15.5, -90.3),   // Guatemala
    (*b"GU", 13.5, 144.8),   // Guam
    (*b"GW", 12.0, -15.0),   // Guinea-Bissau
    (*b"GY", 5.0, -59.0),    // Guyana
    (*b"HK", 22.3, 114.2),   // Hong Kong
    (*b"HM", -53.1, 72.5),   // Heard Island & McDonald Islands
    (*b"HN", 15.0, -86.5),   // Honduras
    (*b"HR", 45.2, 15.5),    // Croatia
    (*b"HT", 19.0, -72.4),   // Haiti
    (*b"HU", 47.0, 20.0),    // Hungary
    (*b"ID", -5.0, 120.0),   // Indonesia
    (*b"IE", 53.0, -8.0),    // Ireland
    (*b"IL", 31.5, 34.8),    // Israel
    (*b"IM", 54.2, -4.5),    // Isle of Man
    (*b"IN", 22.5, 79.0),    // India
    (*b"IO", -6.0, 71.5),    // British Indian Ocean Territory
    (*b"IQ", 33.0, 44.0),    // Iraq
    (*b"IR", 32.0, 53.0),    // Iran
    (*b"IS", 65.0, -18.0),   // Iceland
    (*b"IT", 42.8, 12.8),    // Italy
    (*b"JE", 49.2, -2.1),    // Jersey
    (*b"JM", 18.3, -77.5),   // Jamaica
    (*b"JO", 31.0, 36.0),    // Jordan
    (*b"JP", 36.0, 138.0),   // Japan
    (*b"KE", 1.0, 38.0),     // Kenya
    (*b"KG", 41.0, 75.0),    // Kyrgyzstan
    (*b"KH", 13.0, 105.0),   // Cambodia
    (*b"KI", 1.4, 173.0),    // Kiribati
    (*b"KM", -12.2, 44.3),   // Comoros
    (*b"KN", 17.3, -62.8),   // St Kitts & Nevis
    (*b"KP", 40.0, 127.0),   // Korea (North)
    (*b"KR", 37.0, 127.5),   // Korea (South)
    (*b"KW", 29.5, 45.8),    // Kuwait
    (*b"KY", 19.5, -80.5),   // Cayman Islands
    (*b"KZ", 48.0, 68.0),    // Kazakhstan
    (*b"LA", 18.0, 105.0),   // Laos
    (*b"LB", 33.8, 35.8),    // Lebanon
    (*b"LC", 13.9, -61.0),   // St Lucia
    (*b"LI", 47.2, 9.5),     // Liechtenstein
    (*b"LK", 7.0, 81.0),     // Sri Lanka
    (*b"LR", 6.5, -9.5),     // Liberia
    (*b"LS", -29.5, 28.5),   // Lesotho
    (*b"LT", 56.0, 24.0),    // Lithuania
    (*b"LU", 49.8, 6.2),     // Luxembourg
    (*b"LV", 57.0, 25.0),    // Latvia
    (*b"LY", 25.0, 17.0),    // Libya
    (*b"MA", 32.0, -5.0),    // Morocco
    (*b"MC", 43.7, 7.4),     // Monaco
    (*b"MD", 47.0, 29.0),    // Moldova
    (*b"ME", 42.5, 19.3),    // Montenegro
    (*b"MF", 18.08, -63.06), // St Martin (French)
    (*b"MG", -20.0, 47.0),   // Madagascar
    (*b"MH", 9.0, 168.0),    // Marshall Islands
    (*b"MK", 41.8, 22.0),    // North Macedonia
    (*b"ML", 17.0, -4.0),    // Mali
    (*b"MM", 22.0, 98.0),    // Myanmar (Burma)
    (*b"MN", 46.0, 105.0),   // Mongolia
    (*b"MO", 22.2, 113.6),   // Macau
    (*b"MP", 15.2, 145.8),   // Northern Mariana Islands
    (*b"MQ", 14.7, -61.0),   // Martinique
    (*b"MR", 20.0, -12.0),   // Mauritania
    (*b"MS", 16.8, -62.2),   // Montserrat
    (*b"MT", 35.9, 14.4),    // Malta
    (*b"MU", -20.3, 57.6),   // Mauritius
    (*b"MV", 3.3, 73.0),     // Maldives
    (*b"MW", -13.5, 34.0),   // Malawi
    (*b"MX", 23.0, -102.0),  // Mexico
    (*b"MY", 2.5, 112.5),    // Malaysia
    (*b"MZ", -18.3, 35.0),   // Mozambique
    (*b"NA", -22.0, 17.0),   // Namibia
    (*b"NC", -21.5, 165.5),  // New Caledonia
    (*b"NE", 16.0, 8.0),     // Niger
    (*b"NF", -29.0, 168.0),  // Norfolk Island
    (*b"NG", 10.0, 8.0),     // Nigeria
    (*b"NI", 13.0, -85.0),   // Nicaragua
    (*b"NL", 52.3, 5.5),     // Netherlands
    (*b"NO", 62.0, 10.0),    // Norway
    (*b"NP", 28.0, 84.0),    // Nepal
    (*b"NR", -0.5, 166.9),   // Nauru
    (*b"NU", -19.0, -169.9), // Niue
    (*b"NZ", -41.0, 174.0),  // New Zealand
    (*b"OM", 21.0, 57.0),    // Oman
    (*b"PA", 9.0, -80.0),    // Panama
    (*b"PE", -10.0, -76.0),  // Peru
    (*b"PF", -17.7, -149.4), // French Polynesia
    (*b"PG", -6.0, 147.0),   // Papua New Guinea
    (*b"PH", 13.0, 122.0),   // Philippines
    (*b"PK", 30.0, 70.0),    // Pakistan
    (*b"PL", 52.0, 20.0),    // Poland
    (*b"PM", 46.8, -56.3),   // St Pierre & Miquelon
    (*b"PN", -25.1, -130.1), // Pitcairn
    (*b"PR", 18.3, -66.5),   // Puerto Rico
    (*b"PS", 31.9, 35.2),    // Palestine
    (*b"PT", 39.5, -8.0),    // Portugal
    (*b"PW", 7.5, 134.5),    // Palau
    (*b"PY", -23.0, -58.0),  // Paraguay
    (*b"QA", 25.5, 51.3),    // Qatar
    (*b"RE", -21.1, 55.6),   // Réunion
    (*b"RO", 46.0, 25.0),    // Romania
    (*b"RS", 44.0, 21.0),    // Serbia
    (*b"RU", 60.0, 100.0),   // Russia
    (*b"RW", -2.0, 30.0),    // Rwanda
    (*b"SA", 25.0, 45.0),    // Saudi Arabia
    (*b"SB", -9.4, 160.0),   // Solomon Islands
    (*b"SC", -4.6, 55.5),    // Seychelles
    (*b"SD", 15.0, 30.0),    // Sudan
    (*b"SE", 62.0, 15.0),    // Sweden
    (*b"SG", 1.35, 103.8),   // Singapore
    (*b"SH", -16.0, -5.7),   // St Helena
    (*b"SI", 46.1, 14.8),    // Slovenia
    (*b"SJ", 78.0, 16.0),    // Svalbard & Jan Mayen
    (*b"SK", 48.7, 19.5),    // Slovakia
    (*b"SL", 8.5, -11.5),    // Sierra Leone
    (*b"SM", 43.9, 12.4),    // San Marino
    (*b"SN", 14.0, -14.0),   // Senegal
    (*b"SO", 5.0, 46.0),     // Somalia
    (*b"SR", 4.0, -56.0),    // Suriname
    (*b"SS", 7.5, 30.0),     // South Sudan
    (*b"ST", 0.3, 6.7),      // Sao Tome & Principe
    (*b"SV", 13.8, -88.9),   // El Salvador
    (*b"SX", 18.04, -63.07), // St Maarten (Dutch)
    (*b"SY", 35.0, 38.0),    // Syria
    (*b"SZ", -26.5, 31.5),   // Eswatini (Swaziland)
    (*b"TC", 21.8, -71.8),   // Turks & Caicos Is
    (*b"TD", 15.0, 19.0),    // Chad
    (*b"TF", -49.3, 69.5),   // French S. Terr.
    (*b"TG", 8.0, 1.2),      // Togo
    (*b"TH", 15.0, 100.0),   // Thailand
    (*b"TJ", 39.0, 71.0),    // Tajikistan
    (*b"TK", -9.0, -172.0),  // Tokelau
    (*b"TL", -8.8, 125.8),   // East Timor
    (*b"TM", 40.0, 60.0),    // Turkmenistan
    (*b"TN", 34.0, 9.0),     // Tunisia
    (*b"TO", -21.1, -175.2), // Tonga
    (*b"TR", 39.0, 35.0),    // Turkey
    (*b"TT", 10.5, -61.3),   // Trinidad & Tobago
    (*b"TV", -8.5, 179.2),   // Tuvalu
    (*b"TW", 23.7, 121.0),   // Taiwan
    (*b"TZ", -6.0, 35.0),    // Tanzania
    (*b"UA", 49.0, 32.0),    // Ukraine
    (*b"UG", 1.0, 32.0),     // Uganda
    (*b"UM", 19.3, 166.6),   // US minor outlying islands
    (*b"US", 39.8, -98.6),   // United States
    (*b"UY", -33.0, -56.0),  // Uruguay
    (*b"UZ", 41.0, 64.0),    // Uzbekistan
    (*b"VA", 41.9, 12.45),   // Vatican City
    (*b"VC", 13.2, -61.2),   // St Vincent
    (*b"VE", 8.0, -66.0),    // Venezuela
    (*b"VG", 18.4, -64.6),   // Virgin Islands (UK)
    (*b"VI", 18.3, -64.8),   // Virgin Islands (US)
    (*b"VN", 16.0, 107.8),   // Vietnam
    (*b"VU", -16.0, 167.0),  // Vanuatu
    (*b"WF", -13.3, -176.2), // Wallis & Futuna
    (*b"WS", -13.8, -172.1), // Samoa (western)
    (*b"XK", 42.6, 21.0),    // Kosovo
    (*b"YE", 15.5, 48.0),    // Yemen
    (*b"YT", -12.8, 45.2),   // Mayotte
    (*b"ZA", -29.0, 25.0),   // South Africa
    (*b"ZM", -15.0, 28.0),   // Zambia
    (*b"ZW", -19.0, 30.0),   // Zimbabwe
];

#[cfg(test)]
mod tests;
