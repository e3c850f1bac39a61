//! What must hold of every single request, whatever goes wrong: asked of the truth, not of any node.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Stage;
use super::chronicle::Finding;
use super::clients::marked;
use super::truth::{Part, Whereabouts, permitted, permitted_to_anybody};
use crate::Link;
use crate::fleet::Receipt;
use crate::judge::{Fate, Sample};
use crate::scenario::{Fault, Load, Occurrence, Receive, Rules, Scenario};

/// A backend has received a request.
pub(super) fn received(stage: &Stage, receipt: &Receipt) {
    stage.count_check();
    let Some(load) = load_of(stage, receipt) else {
        return violation(stage, "nothing-invented", None, format!("nobody asked for {}", receipt.target));
    };
    let nodes: Vec<_> = receipt.via.iter().map(|via| via.trim_start_matches("1.1 ").to_owned()).collect();
    let (Some(edge), Some(server)) = (nodes.first(), nodes.last()) else {
        return violation(
            stage,
            "nothing-invented",
            None,
            format!("{} came through no node", receipt.target),
        );
    };
    let Some(serving) = stage.scenario.fleet.region_of(server) else {
        let what = format!("{} came through {server}, which nobody knows", receipt.target);
        return violation(stage, "nothing-invented", None, what);
    };
    // The backend's place, and the serving node's.
    let served_in = [&receipt.region, &serving.name];
    let located = (&edge[..], sent_of(stage, &receipt.target));
    let at = stage.chronicle.since_beginning(receipt.at);
    let (edge_since, server_since) = decided_since(stage, (edge, server), at);
    for (node, since, role) in [(edge, edge_since, "edge"), (server, server_since, "serving node")] {
        let places = known_places(stage, load, (node, since), located);
        if !places.iter().any(|places| served_in.iter().all(|region| places.contains(*region))) {
            let what = format!(
                "{} of {} was served in {} through {}; no document that its {role} had allows that",
                receipt.target,
                load.tenant,
                receipt.region,
                nodes.join(", ")
            );
            violation(stage, "served-in-place", Some(server), what);
        }
    }
    not_by_who_leaves(stage, receipt, (edge, server), at);
}

/// Since when an edge and a serving node can have taken the documents that they acted by for a request that a backend
/// received at a moment. Who stood still decides late; who is far away, or has waited for who stood still, had decided before.
fn decided_since(stage: &Stage, (edge, server): (&str, &str), at: Duration) -> (Duration, Duration) {
    let truth = stage.truth.borrow();
    let server_since = truth.had(server, DOCUMENT_READ_WITHIN, at);
    if edge == server {
        return (server_since, server_since);
    }
    let stood_still = at.saturating_sub(DOCUMENT_READ_WITHIN).saturating_sub(server_since);
    let decided = at.saturating_sub(stood_still + longer(stage, edge, server));
    (truth.had(edge, DOCUMENT_READ_WITHIN, decided), server_since)
}

/// How much longer than without faults a packet may be on its way at worst.
fn longer(stage: &Stage, from: &str, to: &str) -> Duration {
    let longer = stage.scenario.faults.iter().map(|timed| match &timed.fault {
        Fault::Link { from: here, to: there, weather }
            if here.iter().any(|node| node == from) && there.iter().any(|node| node == to) =>
        {
            weather.latency + weather.jitter
        }
        _ => Duration::ZERO,
    });
    longer.sum()
}

/// A node that is leaving is given nothing by other nodes that must know it.
fn not_by_who_leaves(stage: &Stage, receipt: &Receipt, (edge, server): (&str, &str), at: Duration) {
    let truth = stage.truth.borrow();
    let since = at.checked_sub(SETTLED);
    let way = |from: &str, to: &str| Part::Way(from.to_owned(), to.to_owned());
    let told = edge != server
        && truth.draining_since(server).is_some_and(|since| since + LEAVING_KNOWN < at)
        && [way(server, edge), way(edge, server)].iter().all(|way| truth.is_sound(way, since))
        && truth.is_sound(&Part::Node(edge.to_owned()), since);
    drop(truth);
    if told {
        let what = format!("{} was given to {server}, which has long been leaving", receipt.target);
        violation(stage, "not-by-who-leaves", Some(edge), what);
    }
}

/// A node that is leaving serves its own clients for a while, and then takes nothing new.
fn not_from_who_has_left(stage: &Stage, sample: &Sample, load: &Load) {
    let truth = stage.truth.borrow();
    let asked = sample.sent.saturating_sub(LEAVING_KNOWN);
    // The node goes by its own clock.
    let closed = truth.life(&sample.last_edge).is_some_and(|life| {
        life.draining_since().is_some_and(|since| life.own_time(since, asked) > ACCEPTING)
    });
    drop(truth);
    if closed && sample.fate.is_served() {
        let what =
            format!("{} was taken by {}, which has long been leaving", name(load, sample), sample.last_edge);
        violation(stage, "not-by-who-leaves", Some(&sample.last_edge), what);
    }
}

/// A client has its answer, or has given up.
pub(super) fn answered(stage: &Stage, sample: &Sample) {
    stage.count_check();
    let load = &stage.scenario.loads[sample.load];
    let Some(edge) = stage.scenario.fleet.region_of(&sample.last_edge) else { return };
    let since = stage.truth.borrow().had(&sample.last_edge, DOCUMENT_READ_WITHIN, sample.sent);
    let places = known_places(stage, load, (&sample.last_edge, since), (&sample.last_edge, sample.sent));
    if let Some(region) =
        sample.fate.region().filter(|region| !places.iter().any(|places| places.contains(*region)))
    {
        let what = format!("{} was answered from {region}, which its rules do not allow", name(load, sample));
        violation(stage, "served-in-place", Some(&sample.last_edge), what);
    }
    received_in_place(stage, sample, (load, &edge.name));
    answered_if_possible(stage, sample, load);
    answered_in_time(stage, sample, load);
    not_from_who_has_left(stage, sample, load);
}

/// With `receive = "allowed"`, a node elsewhere answers nothing but 421; that it is leaving or full, it may say of
/// itself before it knows whose request it is.
fn received_in_place(stage: &Stage, sample: &Sample, (load, edge): (&Load, &str)) {
    let truth = stage.truth.borrow();
    let since = truth.had(&sample.last_edge, DOCUMENT_READ_WITHIN, sample.sent);
    let rules = truth.rules_since(&sample.last_edge, &load.tenant, since);
    let outside = |rules: &Rules| {
        rules.receive == Receive::Allowed
            && !permitted_to_anybody(rules, &stage.scenario.fleet).contains(edge)
    };
    let said = match &sample.fate {
        Fate::Answered { status, .. } | Fate::Refused { status, .. } => *status,
        Fate::NoAnswer => return,
    };
    if said != 421 && !SAYS_OF_ITSELF.contains(&sample.fate.word()) && rules.into_iter().all(outside) {
        drop(truth);
        let what =
            format!("{} was answered {said} by {}, outside its places", name(load, sample), sample.last_edge);
        violation(stage, "received-in-place", Some(&sample.last_edge), what);
    }
}

/// A request that may be repeated is answered if all the time there was somewhere to go.
fn answered_if_possible(stage: &Stage, sample: &Sample, load: &Load) {
    let replayable = load.method.is_idempotent() && load.body_bytes <= REPLAYED_BYTES_MAX;
    let failed = match &sample.fate {
        // Who gives up soon is no witness; who is cut off is.
        Fate::NoAnswer => sample.took < load.timeout || sample.at_edge >= PATIENCE_MIN,
        Fate::Refused { reason, .. } => FAILURES.contains(&&**reason),
        Fate::Answered { .. } => false,
    };
    if !replayable || !failed || gave_up_early(stage, sample, load) {
        return;
    }
    if let Some(region) = alternative(stage, sample, load) {
        let what =
            format!("{} was {}, and {region} would have served it", name(load, sample), sample.fate.word());
        violation(stage, "answered-if-possible", Some(&sample.last_edge), what);
    }
}

/// A region where nothing was wrong from well before the request until now, nor on the way there.
fn alternative(stage: &Stage, sample: &Sample, load: &Load) -> Option<String> {
    let truth = stage.truth.borrow();
    let since = sample.sent.checked_sub(SETTLED);
    let sound = |part: Part| truth.is_sound(&part, since);
    let edge = &sample.last_edge;
    if !sound(Part::Node(edge.clone())) || !sound(Part::Geo(edge.clone())) {
        return None;
    }
    let document = |node: &str| Part::Document(node.to_owned(), load.tenant.clone());
    let read = truth.had(edge, DOCUMENT_READ_WITHIN, sample.sent);
    let places = known_places(stage, load, (edge, read), (edge, sample.sent));
    let fleet = &stage.scenario.fleet;
    let pools = &fleet.tenant(&load.tenant)?.pools;
    let mut regions = fleet.regions.iter().filter(|region| {
        pools.contains(&region.name)
            && places.iter().all(|places| places.contains(&region.name))
            && sound(Part::Backends(region.name.clone(), None))
            && sound(Part::Backends(region.name.clone(), Some(load.tenant.clone())))
            && sound(document(edge))
            && region.backend_latency < response_timeout(stage, load)
    });
    let found = regions.find(|region| {
        region.node_names().any(|node| {
            // In its own region an edge asks the backends itself.
            node == *edge
                || (fleet.region_of(edge).is_some_and(|own| own.name != region.name)
                    && sound(Part::Node(node.clone()))
                    && sound(document(&node))
                    && sound(Part::Way(edge.clone(), node.clone()))
                    && sound(Part::Way(node, edge.clone())))
        })
    });
    found.map(|region| region.name.clone())
}

/// Whether the client waited less than the regions may take that its request can have been given to, one after the other:
/// no node knows how long a client will wait.
fn gave_up_early(stage: &Stage, sample: &Sample, load: &Load) -> bool {
    let (fleet, timeout) = (&stage.scenario.fleet, response_timeout(stage, load));
    let Some(tenant) = fleet.tenant(&load.tenant) else { return false };
    let read = stage.truth.borrow().had(&sample.last_edge, DOCUMENT_READ_WITHIN, sample.sent);
    let places = known_places(stage, load, (&sample.last_edge, read), (&sample.last_edge, sample.sent));
    let regions = fleet.regions.iter().filter(|region| {
        tenant.pools.contains(&region.name) && places.iter().any(|places| places.contains(&region.name))
    });
    let takes = regions.map(|region| {
        let slower = stage.scenario.faults.iter().map(|timed| match &timed.fault {
            Fault::Backends { regions, tenant, how }
                if regions.contains(&region.name)
                    && tenant.as_ref().is_none_or(|tenant| *tenant == load.tenant) =>
            {
                how.latency
            }
            _ => Duration::ZERO,
        });
        let rtt = way(stage, &sample.last_edge, &region.name).map_or(Duration::ZERO, |(rtt, _)| rtt);
        rtt + timeout.min(region.backend_latency + slower.sum::<Duration>())
    });
    let patience = load.timeout;
    sample.fate == Fate::NoAnswer && sample.took >= patience && takes.sum::<Duration>() + SLACK >= patience
}

/// How long a backend may take to begin an answer.
fn response_timeout(stage: &Stage, load: &Load) -> Duration {
    let tenant = stage.scenario.fleet.tenant(&load.tenant);
    tenant.and_then(|tenant| tenant.response_timeout).unwrap_or(RESPONSE_TIMEOUT)
}

/// Who was suspect in time has kept nobody waiting: once the promised time has passed, an answer takes as long as its
/// way. Asked only while nothing else can delay it.
fn answered_in_time(stage: &Stage, sample: &Sample, load: &Load) {
    let Some(region) = sample.fate.region().filter(|_| sample.fate.is_served()) else { return };
    let Some((way, promised)) = way(stage, &sample.last_edge, region) else { return };
    let delay = stage.driver.delay_max();
    let truth = stage.truth.borrow();
    let (begun, ended) = truth.last_changes();
    let settled = |at: Option<Duration>, pause| at.is_none_or(|at| at + pause < sample.sent);
    // Who is not heard any more is told so by those who miss it.
    let one_way = stage.scenario.faults.iter().any(|timed| matches!(timed.fault, Fault::Cut { .. }));
    let told = if one_way { promised / 6 } else { Duration::ZERO };
    let known = promised.max(SUSPECTED_WITHIN_MIN) + told + MOMENT + delay;
    let quiet = settled(ended, SETTLED) && settled(begun, known);
    let dry = stage.scenario.faults.iter().all(|timed| !delays(&timed.fault));
    let took_max = way
        + stage.scenario.fleet.region(region).map_or(Duration::ZERO, |plan| plan.backend_latency)
        + SLACK
        + delay;
    drop(truth);
    if quiet && dry && !is_behind_bodies(stage, sample) && sample.at_edge > took_max {
        let what = format!(
            "{} took {:?} to {region}, which is {way:?} away, and nothing that goes on can have delayed it: did it wait for somebody who was known to be silent?",
            name(load, sample),
            sample.at_edge
        );
        violation(stage, "suspects-are-spared", Some(&sample.last_edge), what);
    }
}

/// Whether an edge sends bodies that fill its ways, so that others wait behind them.
fn is_behind_bodies(stage: &Stage, sample: &Sample) -> bool {
    stage.scenario.loads.iter().any(|load| {
        load.body_bytes > BODY_BYTES_QUICK
            && load.edges.contains(&sample.last_edge)
            && (load.from..load.until + SETTLED).contains(&sample.sent)
    })
}

/// Gossip tells a node that another is dead. Nobody is who is well, as long as the ways between nodes lose no more than
/// gossip must bear.
pub(super) fn called_dead(stage: &Stage, node: &str, dead: &str) {
    stage.count_check();
    let truth = stage.truth.borrow();
    let since = stage.now().checked_sub(SETTLED);
    let well = [node, dead].iter().all(|node| truth.is_sound(&Part::Node((*node).to_owned()), since));
    let borne = || {
        stage.scenario.faults.iter().all(|timed| is_borne_by_gossip(&timed.fault))
            && slowest(&stage.scenario) <= SILENCE_BORNE
    };
    if well && borne() {
        drop(truth);
        let what = format!("{node} hears that {dead} is dead, and it is well");
        violation(stage, "nobody-is-evicted", Some(node), what);
    }
}

fn is_borne_by_gossip(fault: &Fault) -> bool {
    match fault {
        Fault::Cut { .. } | Fault::Partition { .. } => false,
        Fault::Link { weather, .. } => weather.loss <= LOSS_BORNE && weather.bytes_per_second.is_none(),
        _ => true,
    }
}

/// How much longer packets take at worst at any time, on any way: all faults of links that last together.
fn slowest(scenario: &Scenario) -> Duration {
    let slow = |occurrence: &Occurrence| match &scenario.faults[occurrence.fault].fault {
        Fault::Link { weather, .. } => weather.latency + weather.jitter,
        _ => Duration::ZERO,
    };
    let all = scenario.occurrences();
    let together = all.iter().map(|one| {
        let lasts = |other: &&Occurrence| other.at <= one.at && other.ends.is_none_or(|ends| ends >= one.at);
        all.iter().filter(lasts).map(slow).sum()
    });
    together.max().unwrap_or_default()
}

/// The round trip between an edge and a region, and how long after a death there nobody is sent there any more: three
/// round trips.
fn way(stage: &Stage, edge: &str, region: &str) -> Option<(Duration, Duration)> {
    let fleet = &stage.scenario.fleet;
    let from = fleet.region_of(edge)?.coordinates;
    let rtt = |to| 2 * Link::between(from, to).latency;
    let to = fleet.region(region)?.coordinates;
    let farthest = fleet.regions.iter().map(|region| rtt(region.coordinates)).max()?;
    Some((rtt(to) + 2 * fleet.jitter, 3 * (farthest + 2 * fleet.jitter)))
}

/// Whether a fault can make answers slow without anybody's mistake.
fn delays(fault: &Fault) -> bool {
    matches!(fault, Fault::Link { .. } | Fault::Backends { .. } | Fault::Geo { .. } | Fault::Document { .. })
}

/// Where a load's requests may be served, by each of the documents that a node may have acted by since a moment. Where
/// the client is, the edge says, who located it when it was sent or later.
fn known_places(
    stage: &Stage,
    load: &Load,
    (node, since): (&str, Duration),
    (edge, sent): (&str, Duration),
) -> Vec<BTreeSet<String>> {
    let (fleet, truth) = (&stage.scenario.fleet, stage.truth.borrow());
    let told = truth.had(edge, DOCUMENT_READ_WITHIN, sent);
    let whereabouts = load.country.map_or(Whereabouts::Nowhere, Whereabouts::In);
    let geo_sound = truth.is_sound(&Part::Geo(edge.to_owned()), Some(told));
    // Otherwise it may take the client for one from nowhere.
    let whereabouts = [Some(whereabouts), (!geo_sound).then_some(Whereabouts::Nowhere)];
    let documents = truth.rules_since(node, &load.tenant, since);
    let places = whereabouts
        .into_iter()
        .flatten()
        .flat_map(|whereabouts| documents.iter().map(move |rules| permitted(rules, fleet, whereabouts)));
    places.collect()
}

/// Where a request of a load may be recorded, by each of the documents that a node may have had when it ended, which the
/// node has written down since the last look. Of a request that nobody knows any edge may have been the load's.
pub(super) fn recording_places(
    stage: &Stage,
    node: &str,
    (load, number): (usize, Option<u64>),
) -> Vec<BTreeSet<String>> {
    let now = stage.now();
    let since = stage.truth.borrow().had(node, DOCUMENT_READ_WITHIN + WRITTEN_WITHIN, now);
    let sent = number.and_then(|number| stage.sent(load, number));
    let sent = sent.unwrap_or_else(|| now.saturating_sub(REMEMBERED));
    let load = &stage.scenario.loads[load];
    let edges = load.edges.iter();
    edges.flat_map(|edge| known_places(stage, load, (node, since), (edge, sent))).collect()
}

fn load_of<'s>(stage: &'s Stage, receipt: &Receipt) -> Option<&'s Load> {
    let (name, _) = marked(&receipt.target)?;
    let load = stage.scenario.loads.iter().find(|load| load.name == name)?;
    (stage.scenario.fleet.tenant(&load.tenant)?.host() == receipt.host).then_some(load)
}

/// When the request with this target was sent.
fn sent_of(stage: &Stage, target: &str) -> Duration {
    let sent = marked(target).and_then(|(name, number)| {
        stage.sent(stage.scenario.loads.iter().position(|load| load.name == name)?, number)
    });
    sent.unwrap_or_else(|| stage.now())
}

fn name(load: &Load, sample: &Sample) -> String {
    format!("{}/{} of {} at {}", load.name, sample.number, load.tenant, sample.last_edge)
}

fn violation(stage: &Stage, invariant: &'static str, node: Option<&str>, what: String) {
    stage.chronicle.violation(Finding { invariant, node: node.map(str::to_owned), what });
}

/// Reasons that a node gives before it knows whose request it is.
const SAYS_OF_ITSELF: [&str; 3] = ["draining", "overloaded", "bad-request"];
/// Reasons that another region would have been a remedy for. `overloaded` is not among them: a limit is a limit.
const FAILURES: [&str; 7] = [
    "no-compliant-region",
    "policy-skew",
    "backend-unreachable",
    "backend-failed",
    "backend-timeout",
    "tunnel-lost",
    "tunnel-timeout",
];
/// Within which an edge that is well has an answer, whomever it has to try before.
const PATIENCE_MIN: Duration = Duration::from_secs(5);
/// The default of a pool's `response_timeout`.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// What an edge can send again.
const REPLAYED_BYTES_MAX: u32 = 64 << 10;
/// What was wrong so long ago has no consequences any more: pauses between attempts at a peer grow to 10 s, an attempt
/// takes 3 s, and checks of backends need some rounds.
const SETTLED: Duration = Duration::from_secs(16);
/// A changed document is looked for every second; a request that was decided before may be on its way for a moment.
const DOCUMENT_READ_WITHIN: Duration = Duration::from_secs(5);
/// How long ago a request may have been sent of which that is not known.
const REMEMBERED: Duration = Duration::from_mins(1);
/// From the end of a request to its line in the access log.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
/// A probe says it at once, or the next one.
const LEAVING_KNOWN: Duration = Duration::from_secs(1);
/// How long a node that is leaving goes on taking what clients send it: the default of `drain.delay`.
const ACCEPTING: Duration = Duration::from_secs(5);
/// How much longer packets may suddenly take, which is a silence first, without anybody being held for dead: gossip gives
/// up on who is silent for eight times as long as he was between two signs of life on average, and in a small fleet, where
/// everybody hears of everybody from several, that may be 0.6 s.
const SILENCE_BORNE: Duration = Duration::from_millis(500);
/// The share of packets that may get lost without anybody being held for dead.
const LOSS_BORNE: f64 = 0.2;
/// What is promised of a dead peer nearby.
const SUSPECTED_WITHIN_MIN: Duration = Duration::from_millis(250);
/// Times of faults and of requests are rounded to a millisecond each.
const MOMENT: Duration = Duration::from_millis(5);
/// What crosses a way at once, in ten packets; more takes several round trips, and others wait behind it.
const BODY_BYTES_QUICK: u32 = 12_000;
/// What handling may take besides the way: less than the least patience with a peer.
const SLACK: Duration = Duration::from_millis(90);
