//! Where on Earth is the fleet, and which requests crossed it?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::Section;
use super::axis::{count, decimals};
use super::markup::{Markup, html};
use super::run::{Region, Run};
use super::table::Table;

mod labels;
mod projection;

use labels::{Dot, Label, place};
use projection::{NORTH, SOUTH, View, great_circle, path, project};

/// Outlines of land, a line for each.
const LAND: &str = include_str!("land.txt");

/// Sizes of letters on a wide page and on a narrow one, in units of the map.
const LETTERS: [(&str, f64); 2] = [("wide", 14.0), ("narrow", 25.0)];

pub(super) fn section(run: &Run<'_>) -> Section {
    let flows = Flows::of(run);
    let view =
        View::around(run.regions.iter().map(|region| project(region.first.latitude, region.first.longitude)));
    let body = html!(
        "<figure class=\"map\"><svg viewBox=\"{:.1} {:.1} {:.1} {:.1}\" role=\"img\" aria-label=\"{}\">{}{}</svg>{}</figure>\n\
         {}{}",
        view.left,
        view.top,
        view.width,
        view.height,
        "A map of the world with the regions of the fleet; the tables below say the same",
        *GROUND,
        fleet(run, &flows, &view),
        key(),
        regions(run, &flows).open(),
        pairs(&flows)
    );
    Section { id: "map", heading: "Map", body, charts: Vec::new() }
}

/// Served requests from the region of their edge to the region that served them.
struct Flows<'a> {
    counts: BTreeMap<(&'a str, &'a str), u64>,
}

impl<'a> Flows<'a> {
    fn of(run: &Run<'a>) -> Self {
        let mut counts = BTreeMap::<_, u64>::new();
        for bucket in run.outcome.requests.iter().filter(|bucket| bucket.fate == "served") {
            let Some(region) = &bucket.served_by else { continue };
            *counts.entry((bucket.edge.as_str(), region.as_str())).or_default() += bucket.count;
        }
        Self { counts }
    }

    /// How many a region served, for its own edges and for others.
    fn served_by(&self, region: &str) -> (u64, u64) {
        let by = self.counts.iter().filter(|((_, by), _)| *by == region);
        by.fold(
            (0, 0),
            |(own, others), ((edge, _), count)| {
                if *edge == region { (own + count, others) } else { (own, others + count) }
            },
        )
    }

    /// How many crossed between two regions, either way.
    fn between(&self) -> BTreeMap<(&'a str, &'a str), u64> {
        let mut between = BTreeMap::<_, u64>::new();
        for ((edge, by), count) in self.counts.iter().filter(|((edge, by), _)| edge != by) {
            *between.entry((*edge.min(by), *edge.max(by))).or_default() += count;
        }
        between
    }
}

/// Sea, land, and the net of meridians and parallels.
static GROUND: LazyLock<Markup> = LazyLock::new(|| {
    let rings = LAND.lines().filter(|line| !line.starts_with('#'));
    let land: Markup = rings.map(|ring| html!("{}Z", path(ring.split(' ').filter_map(point)))).collect();
    let up = || (0..=28).map(|step| SOUTH + f64::from(step) * (NORTH - SOUTH) / 28.0);
    let meridians =
        (-5..=5).map(|thirty| path(up().map(move |latitude| (latitude, f64::from(thirty) * 30.0))));
    let along = |latitude: f64| path((-36..=36).map(move |five| (latitude, f64::from(five) * 5.0)));
    let parallels = [60.0, 30.0, 0.0, -30.0].map(along);
    let net: Markup = meridians.chain(parallels).collect();
    html!(
        "<path class=\"sea\" d=\"{}\"/><path class=\"land\" d=\"{}\"/><path class=\"net\" d=\"{}\"/>",
        sea(),
        land,
        net
    )
});

/// The whole of the map, which is narrower in the north.
fn sea() -> Markup {
    let steps = 28;
    let latitude = |step: i32| SOUTH + f64::from(step) * (NORTH - SOUTH) / f64::from(steps);
    let spots = (0..=steps).map(|step| project(latitude(step), -180.0));
    let spots = spots.chain((0..=steps).rev().map(|step| project(latitude(step), 180.0)));
    let points: Markup = spots
        .enumerate()
        .map(|(position, spot)| {
            let letter = if position == 0 { "M" } else { "L" };
            html!("{}{:.1} {:.1}", letter, spot.x, spot.y)
        })
        .collect();
    html!("{}Z", points)
}

/// A point as the file has it, longitude first.
fn point(text: &str) -> Option<(f64, f64)> {
    let (longitude, latitude) = text.split_once(',')?;
    Some((latitude.parse().ok()?, longitude.parse().ok()?))
}

/// Ways of requests, regions and their names.
fn fleet(run: &Run<'_>, flows: &Flows<'_>, view: &View) -> Markup {
    let place_of = |name: &str| {
        let region = run.regions.iter().find(|region| region.name == name)?;
        Some((region.first.latitude, region.first.longitude))
    };
    let between = flows.between();
    let most = between.values().copied().max().unwrap_or_default();
    let way = |((a, b), number): (&(&str, &str), &u64)| {
        let line = path(great_circle(place_of(a)?, place_of(b)?));
        Some(html!(
            "<path class=\"way\" stroke-width=\"{:.1}\" d=\"{}\"><title>{} and {}: {} requests crossed</title></path>",
            (1.5 + 5.0 * share(*number, most)) * view.unit(),
            line,
            a,
            b,
            count(*number)
        ))
    };
    let ways: Markup = between.iter().filter_map(way).collect();
    let ends = between.keys().filter_map(|(a, b)| Some((place_of(a)?, place_of(b)?)));
    let spots =
        ends.flat_map(|(a, b)| great_circle(a, b)).map(|(latitude, longitude)| project(latitude, longitude));
    let spots: Vec<_> = spots.collect();
    let dots = dots(run, flows, view);
    let names = LETTERS.map(|(class, letters)| {
        let letters = letters * view.unit();
        names(class, letters, &place(&dots, &spots, letters, view))
    });
    let met = met_by_faults(run);
    let dots = dots.iter().map(|dot| draw(dot, met.contains(dot.name), flows, view));
    html!("{}{}{}", ways, dots.collect::<Markup>(), names.into_iter().collect::<Markup>())
}

fn dots<'a>(run: &Run<'a>, flows: &Flows<'_>, view: &View) -> Vec<Dot<'a>> {
    let served = |region: &Region<'_>| {
        let (own, others) = flows.served_by(region.name);
        own + others
    };
    let most = run.regions.iter().map(served).max().unwrap_or_default();
    let dot = |region: &Region<'a>| Dot {
        name: region.name,
        at: project(region.first.latitude, region.first.longitude),
        radius: (4.0 + 9.0 * share(served(region), most)) * view.unit(),
    };
    run.regions.iter().map(dot).collect()
}

/// How large a count is drawn beside the largest, 0 to 1: by area.
fn share(part: u64, most: u64) -> f64 {
    (part as f64 / most.max(1) as f64).sqrt()
}

fn draw(dot: &Dot<'_>, met: bool, flows: &Flows<'_>, view: &View) -> Markup {
    let (own, others) = flows.served_by(dot.name);
    let ring = if met {
        html!(
            "<circle class=\"ring\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\"/>",
            dot.at.x,
            dot.at.y,
            dot.radius + 4.0 * view.unit()
        )
    } else {
        Markup::default()
    };
    html!(
        "{}<circle class=\"region\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\"><title>{}: served {} for its own edges, \
         {} for others</title></circle>",
        ring,
        dot.at.x,
        dot.at.y,
        dot.radius,
        dot.name,
        count(own),
        count(others)
    )
}

fn names(class: &str, letters: f64, labels: &[Label<'_>]) -> Markup {
    let name = |label: &Label<'_>| {
        html!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", label.left, label.baseline, label.name)
    };
    let names: Markup = labels.iter().map(name).collect();
    html!("<g class=\"names {}\" font-size=\"{:.2}\">{}</g>", class, letters, names)
}

/// The regions of nodes that a fault met.
fn met_by_faults<'a>(run: &'a Run<'_>) -> BTreeSet<&'a str> {
    let nodes = run.outcome.faults.iter().flat_map(|fault| &fault.nodes);
    nodes.filter_map(|node| run.region_of(node)).map(|region| region.name).collect()
}

fn key() -> Markup {
    html!(
        "<ul class=\"legend\"><li><i class=\"key dot\"></i>a region, by what it served</li>\
         <li><i class=\"key ring\"></i>a fault met its nodes</li>\
         <li><i class=\"key way\"></i>requests served in another region than they were sent to</li></ul>"
    )
}

fn regions(run: &Run<'_>, flows: &Flows<'_>) -> Table {
    let heads = ["nodes", "latitude", "longitude", "served for its own edges", "for others"];
    let mut table = Table::new(html!("Regions"), &["region", "country"], &heads);
    for region in &run.regions {
        let (own, others) = flows.served_by(region.name);
        table.row([
            html!("{}", region.name),
            html!("{}", region.first.country),
            html!("{}", region.nodes),
            html!("{}", decimals(region.first.latitude)),
            html!("{}", decimals(region.first.longitude)),
            html!("{}", count(own)),
            html!("{}", count(others)),
        ]);
    }
    table
}

fn pairs(flows: &Flows<'_>) -> Markup {
    let crossing: Vec<_> = flows.counts.iter().filter(|((edge, by), _)| edge != by).collect();
    if crossing.is_empty() {
        return html!(
            "<p class=\"none\">Every request that was served was served where it was sent to.</p>\n"
        );
    }
    let mut table =
        Table::new(html!("Requests served in another region"), &["sent to", "served by"], &["requests"]);
    for ((edge, by), number) in crossing {
        table.row([html!("{}", edge), html!("{}", by), html!("{}", count(*number))]);
    }
    table.open()
}
