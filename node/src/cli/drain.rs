//! `graticule drain` and `graticule undrain`: make nodes leave, or stay after all.

use graticule_node_api::{Call, DrainQuery, Drained, client};

use super::client::{block_on, call_as};
use super::output::{print, print_json, table};
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
    run(options, client::drain)
}

/// Makes them stay.
pub(super) fn undrain(options: &DrainOptions) -> Result<(), Failure> {
    run(options, client::undrain)
}

fn run(options: &DrainOptions, tell: fn(&DrainQuery) -> Call<Vec<Drained>>) -> Result<(), Failure> {
    let (admin, json) = (options.admin.at(), options.admin.json);
    let told = block_on(async {
        let query = query(admin, options.target.as_deref()).await?;
        call_as(admin, &tell(&query)).await
    })??;
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

fn shown(told: &[Drained]) -> String {
    let row = |told: &Drained| {
        let stage = told.stage.clone().unwrap_or_else(|| "-".to_owned());
        vec![told.node.to_string(), stage, told.error.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = told.iter().map(row).collect();
    table(&["NODE", "STAGE", "ERROR"], &rows)
}
