//! `graticule drain` and `graticule undrain`: make nodes leave, or stay after all.

use graticule_node_api::{Call, DrainQuery, Drained, Tenant, client};

use super::client::{block_on, call_as};
use super::output::{print, print_error, print_json, table};
use super::{AdminOptions, Failure};

/// Whom to tell.
#[derive(Debug, clap::Args)]
pub(super) struct DrainOptions {
    /// A node, or a region for all its live nodes; the node that is asked without
    #[arg(value_name = "NODE|REGION")]
    target: Option<String>,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Makes them leave.
pub(super) fn drain(options: &DrainOptions) -> Result<(), Failure> {
    run(options, client::drain, stranded)
}

/// Makes them stay.
pub(super) fn undrain(options: &DrainOptions) -> Result<(), Failure> {
    run(options, client::undrain, |_, _| None)
}

fn run(
    options: &DrainOptions,
    tell: fn(&DrainQuery) -> Call<Vec<Drained>>,
    warning: fn(&DrainQuery, &[Tenant]) -> Option<String>,
) -> Result<(), Failure> {
    let (admin, json) = (options.admin.at(), options.admin.json);
    let (told, warning) = block_on(async {
        let query = query(admin, options.target.as_deref()).await?;
        // Who asks for a drain gets it, whether or not this can be told.
        let tenants =
            if query.region.is_some() { call_as(admin, &client::tenants()).await.ok() } else { None };
        let told = call_as(admin, &tell(&query)).await?;
        Ok::<_, Failure>((told, tenants.and_then(|tenants| warning(&query, &tenants))))
    })??;
    if let Some(warning) = warning {
        print_error(warning);
    }
    if json {
        print_json(&told)?;
    } else {
        print(shown(&told));
    }
    if told.iter().any(|told| told.error.is_some()) { Err(Failure::Found) } else { Ok(()) }
}

/// What the target is called by: the admin API takes no guess.
async fn query(admin: (&str, Option<&str>), target: Option<&str>) -> Result<DrainQuery, Failure> {
    let Some(target) = target else { return Ok(DrainQuery::default()) };
    let node = call_as(admin, &client::nodes()).await?.into_iter().map(|node| node.name);
    let node = node.into_iter().find(|node| node.as_str() == target);
    let region = call_as(admin, &client::regions()).await?.into_iter().map(|region| region.name);
    let region = region.into_iter().find(|region| region.as_str() == target);
    match (node, region) {
        (Some(_), Some(_)) => Err(Failure::Failed(format!(
            "`{target}` is both a node and a region; say which: `curl -X POST 'http://{}/v1/drain?region={target}'`",
            admin.0
        ))),
        (None, None) => Err(Failure::Failed(format!(
            "{} knows no node or region `{target}`; `graticule status` shows those it knows",
            admin.0
        ))),
        (node, region) => Ok(DrainQuery { node, region }),
    }
}

/// What is to be said of tenants that a region which is drained leaves nowhere to be served.
fn stranded(query: &DrainQuery, tenants: &[Tenant]) -> Option<String> {
    let region = query.region.as_ref()?;
    let serves = |tenant: &Tenant| {
        let mut able = tenant.tiers.iter().flatten().filter(|able| tenant.pools.contains(able)).peekable();
        able.peek().is_some() && able.all(|able| able == region)
    };
    let stranded: Vec<&str> =
        tenants.iter().filter(|tenant| serves(tenant)).map(|tenant| tenant.id.as_str()).collect();
    let named = stranded.iter().take(TENANTS_NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = match stranded.len().saturating_sub(TENANTS_NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!stranded.is_empty()).then(|| {
        format!(
            "warning: only `{region}` may and can serve {named}{more}: their requests are refused from now on\n  help: \
             `graticule undrain {region}` takes it back while its nodes still run"
        )
    })
}

fn shown(told: &[Drained]) -> String {
    let row = |told: &Drained| {
        let stage = told.stage.clone().unwrap_or_else(|| "-".to_owned());
        vec![told.node.to_string(), stage, told.error.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = told.iter().map(row).collect();
    table(&["NODE", "STAGE", "ERROR"], &rows)
}

/// Tenants that a warning names.
const TENANTS_NAMED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str, tiers: &[&[&str]], pools: &[&str]) -> Tenant {
        let regions = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        Tenant {
            id: id.to_owned(),
            version: 1,
            kept: false,
            claims: Vec::new(),
            tiers: tiers.iter().map(|tier| regions(tier)).collect(),
            receive: "any".to_owned(),
            pools: regions(pools),
        }
    }

    fn draining(region: &str) -> DrainQuery {
        DrainQuery { node: None, region: Some(region.parse().unwrap()) }
    }

    #[test]
    fn who_has_no_other_region_is_named() {
        let tenants = [
            tenant("here", &[&["eu"]], &["eu"]),
            tenant("forbidden-elsewhere", &[&["eu"]], &["eu", "us"]),
            tenant("no-pool-elsewhere", &[&["eu"], &["us"]], &["eu"]),
            tenant("falls-back", &[&["eu"], &["us"]], &["eu", "us"]),
            tenant("there", &[&["us"]], &["us"]),
            tenant("nowhere", &[&["eu"]], &[]),
        ];
        let warning = stranded(&draining("eu"), &tenants).unwrap();
        assert!(
            warning.starts_with(
                "warning: only `eu` may and can serve here, forbidden-elsewhere, no-pool-elsewhere: "
            ),
            "{warning}"
        );
        assert_eq!(stranded(&draining("asia"), &tenants), None);
        assert_eq!(stranded(&DrainQuery::default(), &tenants), None);
    }

    #[test]
    fn of_many_some_are_named() {
        let tenants: Vec<Tenant> =
            (10..25).map(|at| tenant(&format!("t{at}"), &[&["eu"]], &["eu"])).collect();
        let warning = stranded(&draining("eu"), &tenants).unwrap();
        assert!(warning.contains(", t19 and 5 more: ") && !warning.contains("t20"), "{warning}");
    }
}
