//! Where on the map is a point of the Earth? Equal Earth (Šavrič, Patterson and Jenny, 2018): areas are true.

use std::f64::consts::PI;

use crate::report::markup::{Markup, html};

/// A point on the map; y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// The width of the map in its own units.
pub(super) const WIDTH: f64 = 960.0;

/// A part of the map, of the shape that is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl View {
    /// The part with all these spots and some surroundings, no smaller than a continent or two.
    pub(super) fn around(spots: impl IntoIterator<Item = Spot>) -> Self {
        const MARGIN: f64 = 70.0;
        const WIDTH_MIN: f64 = 420.0;
        let whole = height();
        let (mut least, mut most) = (Spot { x: WIDTH, y: whole }, Spot { x: 0.0, y: 0.0 });
        for Spot { x, y } in spots {
            least = Spot { x: least.x.min(x), y: least.y.min(y) };
            most = Spot { x: most.x.max(x), y: most.y.max(y) };
        }
        let shape = WIDTH / whole;
        let wanted = f64::max(most.x - least.x, (most.y - least.y) * shape) + 2.0 * MARGIN;
        let width = if most.x < least.x { WIDTH } else { wanted.clamp(WIDTH_MIN, WIDTH) };
        let height = width / shape;
        let begin = |least: f64, most: f64, length: f64, whole: f64| {
            (f64::midpoint(least, most) - length / 2.0).clamp(0.0, (whole - length).max(0.0))
        };
        Self {
            left: begin(least.x, most.x, width, WIDTH),
            top: begin(least.y, most.y, height, whole),
            width,
            height,
        }
    }

    /// How large something is drawn here that has the size 1 on the whole map.
    pub(super) fn unit(&self) -> f64 {
        self.width / WIDTH
    }
}

/// Nobody runs a region further north.
pub(super) const NORTH: f64 = 83.0;

/// Nor further south.
pub(super) const SOUTH: f64 = -57.0;

/// The height of the map in its own units.
pub(super) fn height() -> f64 {
    project(SOUTH, 0.0).y
}

/// A point given in degrees; what lies off the map comes to its edge.
pub(super) fn project(latitude: f64, longitude: f64) -> Spot {
    let (x, y) = equal_earth(
        within(latitude, SOUTH, NORTH).to_radians(),
        within(longitude, -180.0, 180.0).to_radians(),
    );
    let (half_width, _) = equal_earth(0.0, PI);
    let (_, top) = equal_earth(NORTH.to_radians(), 0.0);
    let unit = WIDTH / (2.0 * half_width);
    Spot { x: WIDTH / 2.0 + x * unit, y: (top - y) * unit }
}

/// `value`, or the nearest that is allowed; the middle if it is no number.
fn within(value: f64, least: f64, most: f64) -> f64 {
    if value.is_nan() { f64::midpoint(least, most) } else { value.clamp(least, most) }
}

fn equal_earth(latitude: f64, longitude: f64) -> (f64, f64) {
    const A: [f64; 4] = [1.340_264, -0.081_106, 0.000_893, 0.003_796];
    let root = 3f64.sqrt();
    let theta = (root / 2.0 * latitude.sin()).asin();
    let [t2, t6, t8] = [2, 6, 8].map(|power| theta.powi(power));
    let slope = A[0] + 3.0 * A[1] * t2 + 7.0 * A[2] * t6 + 9.0 * A[3] * t8;
    let x = 2.0 * root * longitude * theta.cos() / (3.0 * slope);
    (x, theta * (A[0] + A[1] * t2 + A[2] * t6 + A[3] * t8))
}

/// The path through points given as latitude and longitude; it breaks where it would cross the edge of the map.
pub(super) fn path(points: impl IntoIterator<Item = (f64, f64)>) -> Markup {
    let mut before: Option<f64> = None;
    let step = |(latitude, longitude): (f64, f64)| {
        let Spot { x, y } = project(latitude, longitude);
        let joined = before.replace(longitude).is_some_and(|before| (before - longitude).abs() <= 180.0);
        if joined { html!("L{:.1} {:.1}", x, y) } else { html!("M{:.1} {:.1}", x, y) }
    };
    points.into_iter().map(step).collect()
}

/// The shortest way over the Earth between two points, as latitude and longitude.
pub(super) fn great_circle(from: (f64, f64), to: (f64, f64)) -> impl Iterator<Item = (f64, f64)> {
    const STEPS: u32 = 48;
    let (from, to) = (vector(from), vector(to));
    let angle = from.iter().zip(to).map(|(from, to)| from * to).sum::<f64>().clamp(-1.0, 1.0).acos();
    (0..=STEPS).map(move |step| {
        let way = f64::from(step) / f64::from(STEPS);
        // Between a point and itself, or its opposite, there is no one way: the straight line is as good.
        let (of_from, of_to) = match angle.sin() {
            sine if sine > 1e-9 => (((1.0 - way) * angle).sin() / sine, (way * angle).sin() / sine),
            _ => (1.0 - way, way),
        };
        let [x, y, z] = [0, 1, 2].map(|axis: usize| of_from * from[axis] + of_to * to[axis]);
        (z.atan2(x.hypot(y)).to_degrees(), y.atan2(x).to_degrees())
    })
}

fn vector((latitude, longitude): (f64, f64)) -> [f64; 3] {
    let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(spot: Spot, x: f64, y: f64) {
        assert!((spot.x - x).abs() < 0.1 && (spot.y - y).abs() < 0.1, "{spot:?} is not near {x}, {y}");
    }

    #[test]
    fn the_equator_is_as_wide_as_the_map() {
        let middle = project(0.0, 0.0);
        assert_near(project(0.0, -180.0), 0.0, middle.y);
        assert_near(project(0.0, 180.0), WIDTH, middle.y);
        assert_near(project(NORTH, 0.0), WIDTH / 2.0, 0.0);
    }

    #[test]
    fn areas_are_true() {
        // A band between two parallels is as large as the difference of their sines says.
        let area = |south: i32, north: i32| {
            let strip = |tenth: i32| {
                let (low, high) = (f64::from(tenth) / 10.0, f64::from(tenth + 1) / 10.0);
                let breadth = project(f64::midpoint(low, high), 180.0).x - WIDTH / 2.0;
                breadth * (project(low, 0.0).y - project(high, 0.0).y)
            };
            (south * 10..north * 10).map(strip).sum::<f64>()
        };
        let expected = (80f64.to_radians().sin() - 60f64.to_radians().sin()) / 30f64.to_radians().sin();
        assert!((area(60, 80) / area(0, 30) - expected).abs() < 1e-3);
    }

    #[test]
    fn the_shortest_way_from_frankfurt_to_tokyo_goes_north() {
        let way: Vec<_> = great_circle((50.1, 8.7), (35.7, 139.7)).collect();
        assert!(way.iter().any(|(latitude, _)| *latitude > 65.0));
        let (latitude, longitude) = way[way.len() - 1];
        assert!((latitude - 35.7).abs() < 1e-6 && (longitude - 139.7).abs() < 1e-6);
    }

    #[test]
    fn a_way_over_the_date_line_is_broken_there() {
        let drawn = path(great_circle((35.7, 139.7), (37.4, -122.1)));
        assert_eq!(drawn.as_str().matches('M').count(), 2);
    }

    #[test]
    fn a_view_has_all_its_spots_and_lies_on_the_map() {
        let fleets: [&[(f64, f64)]; 4] = [
            &[],
            &[(50.1, 8.7)],
            &[(50.1, 8.7), (39.0, -77.5)],
            &[(-33.9, 151.2), (64.1, -21.9), (35.7, 139.7)],
        ];
        for fleet in fleets {
            let spots: Vec<_> =
                fleet.iter().map(|(latitude, longitude)| project(*latitude, *longitude)).collect();
            let View { left, top, width, height: high } = View::around(spots.iter().copied());
            assert!(
                left >= 0.0 && top >= 0.0 && left + width <= WIDTH + 1e-9 && top + high <= height() + 1e-9
            );
            for Spot { x, y } in spots {
                assert!((left..=left + width).contains(&x) && (top..=top + high).contains(&y), "{fleet:?}");
            }
        }
    }

    #[test]
    fn no_number_leaves_the_map() {
        for value in [f64::NAN, f64::INFINITY, -1e300, 0.0] {
            let Spot { x, y } = project(value, value);
            assert!((0.0..=WIDTH).contains(&x) && (-1e-9..=height() + 1e-9).contains(&y), "{value}: {x} {y}");
            assert!(!path(great_circle((value, value), (0.0, 0.0))).as_str().contains("NaN"));
        }
    }
}
