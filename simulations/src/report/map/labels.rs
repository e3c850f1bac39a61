//! Where is a region's name written, so that it covers no other name and no region?

use super::projection::{Spot, View};

/// A region as it is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dot<'a> {
    pub(super) name: &'a str,
    pub(super) at: Spot,
    pub(super) radius: f64,
}

/// A name, where it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) name: &'a str,
    pub(super) left: f64,
    pub(super) baseline: f64,
}

#[derive(Debug, Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

/// Places the names of all dots in letters of this size: each beside its dot, where it covers least; also of `ways`.
pub(super) fn place<'a>(dots: &[Dot<'a>], ways: &[Spot], letters: f64, view: &View) -> Vec<Label<'a>> {
    let mut taken: Vec<_> = dots.iter().map(Dot::area).collect();
    let mut labels = Vec::new();
    for dot in dots {
        let candidates = dot.candidates(letters);
        let crowd = |area: &Area| {
            let names = taken.iter().filter(|other| area.meets(other)).count();
            let way = ways.iter().any(|spot| area.has(spot));
            area.outside(view) + 2 * names + usize::from(way)
        };
        let Some(best) = candidates.iter().min_by_key(|area| crowd(area)) else { continue };
        labels.push(Label { name: dot.name, left: best.left, baseline: best.bottom - letters * 0.25 });
        taken.push(*best);
    }
    labels
}

impl Dot<'_> {
    fn area(&self) -> Area {
        let Spot { x, y } = self.at;
        Area { left: x - self.radius, top: y - self.radius, right: x + self.radius, bottom: y + self.radius }
    }

    /// Where its name may stand, the best first.
    fn candidates(&self, letters: f64) -> [Area; 8] {
        let width = self.name.chars().count() as f64 * letters * LETTER_WIDTH;
        let (gap, half) = (self.radius + letters * 0.3, letters * 0.6);
        let Spot { x, y } = self.at;
        let place = |left: f64, middle: f64| Area {
            left,
            top: middle - half,
            right: left + width,
            bottom: middle + half,
        };
        let (above, below) = (y - gap - half, y + gap + half);
        [
            place(x + gap, y),
            place(x - gap - width, y),
            place(x - width / 2.0, above),
            place(x - width / 2.0, below),
            place(x + gap * 0.7, above),
            place(x - gap * 0.7 - width, above),
            place(x + gap * 0.7, below),
            place(x - gap * 0.7 - width, below),
        ]
    }
}

impl Area {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn has(&self, Spot { x, y }: &Spot) -> bool {
        (self.left..self.right).contains(x) && (self.top..self.bottom).contains(y)
    }

    /// Worse than covering anything.
    fn outside(&self, view: &View) -> usize {
        let across = view.left <= self.left && self.right <= view.left + view.width;
        let along = view.top <= self.top && self.bottom <= view.top + view.height;
        if across && along { 0 } else { 1000 }
    }
}

/// Of bold letters of a sans-serif, on average, as a share of their size.
const LETTER_WIDTH: f64 = 0.58;

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View = View { left: 0.0, top: 0.0, width: 200.0, height: 200.0 };

    fn dot(name: &str, x: f64, y: f64) -> Dot<'_> {
        Dot { name, at: Spot { x, y }, radius: 5.0 }
    }

    fn width(name: &str) -> f64 {
        name.chars().count() as f64 * 10.0 * LETTER_WIDTH
    }

    #[test]
    fn a_name_alone_stands_to_the_right() {
        let labels = place(&[dot("eu", 100.0, 100.0)], &[], 10.0, &VIEW);
        assert!(labels[0].left > 105.0);
    }

    #[test]
    fn names_of_neighbours_do_not_meet() {
        let dots =
            [dot("eu-west", 100.0, 100.0), dot("eu-central", 120.0, 102.0), dot("eu-north", 112.0, 90.0)];
        let labels = place(&dots, &[], 10.0, &VIEW);
        for (position, one) in labels.iter().enumerate() {
            for other in &labels[position + 1..] {
                let apart = one.left + width(one.name) <= other.left
                    || other.left + width(other.name) <= one.left
                    || (one.baseline - other.baseline).abs() >= 10.0;
                assert!(apart, "{one:?} meets {other:?}");
            }
        }
    }

    #[test]
    fn a_name_gives_way_to_a_way() {
        let ways: Vec<_> = (0..40).map(|step| Spot { x: 100.0 + f64::from(step), y: 100.0 }).collect();
        let labels = place(&[dot("eu", 100.0, 100.0)], &ways, 10.0, &VIEW);
        assert!(labels[0].left + width("eu") < 100.0);
    }

    #[test]
    fn no_name_leaves_the_map() {
        let labels = place(&[dot("ap-southeast", 196.0, 100.0)], &[], 10.0, &VIEW);
        assert!(labels[0].left + width("ap-southeast") <= 200.0);
    }
}
