//! A chart of the last hour, drawn on the server as inline SVG.

use std::time::{Duration, Instant};

use askama::Template;

use crate::history::{KEPT, Sample};

/// Width and height in the chart's own units.
const SIZE: (f64, f64) = (360.0, 80.0);
/// Points of a line: one for twenty seconds of an hour.
const POINTS: usize = 180;
/// Time that is drawn at least: each point still has a sample then.
const SHORTEST: Duration = Duration::from_secs(600);

/// A chart that writes itself into a page.
#[derive(Template, Debug)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    title: &'static str,
    now: String,
    peak: String,
    began: String,
    lines: Vec<Line>,
    legend: bool,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    number: usize,
    /// Points of polylines; a gap in the samples is a gap in the line.
    pieces: Vec<String>,
}

/// What is drawn: its name, and its value in a sample.
pub(crate) type Of = (&'static str, fn(&Sample) -> Option<f64>);

impl Chart {
    /// Draws the values of the samples up to `now`, from zero to `full` or to their peak; none if there are no values.
    pub(crate) fn draw(
        title: &'static str,
        samples: &[Sample],
        now: Instant,
        of: &[Of],
        full: Option<f64>,
        words: fn(f64) -> String,
    ) -> Option<Self> {
        let age = samples.first().map_or(SHORTEST, |first| now.saturating_duration_since(first.at));
        let span = age.clamp(SHORTEST, KEPT);
        let buckets: Vec<_> = of.iter().map(|(name, value)| (*name, buckets(samples, now, span, *value))).collect();
        let values = || buckets.iter().flat_map(|(_, buckets)| buckets.iter().flatten());
        let peak = values().copied().fold(f64::MIN, f64::max);
        if peak == f64::MIN {
            return None;
        }
        let top = full.unwrap_or(peak).max(f64::MIN_POSITIVE);
        let last: f64 = of.iter().filter_map(|(_, value)| samples.last().and_then(value)).sum();
        let lines = buckets.iter().enumerate().map(|(number, (name, buckets))| Line { name, number, pieces: pieces(buckets, top) });
        let began = format!("{} min ago", span.as_secs().div_ceil(60));
        Some(Self { title, now: words(last), peak: words(peak), began, lines: lines.collect(), legend: of.len() > 1 })
    }
}

/// The mean of the values in each part of the time; none where there are none.
fn buckets(samples: &[Sample], now: Instant, span: Duration, value: fn(&Sample) -> Option<f64>) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_u32); POINTS];
    for sample in samples {
        let age = now.saturating_duration_since(sample.at).as_secs_f64() / span.as_secs_f64();
        if age > 1.0 {
            continue;
        }
        let place = (((1.0 - age) * POINTS as f64).ceil() - 1.0).max(0.0);
        if let (Some(value), Some((sum, count))) = (value(sample), sums.get_mut((place as usize).min(POINTS - 1))) {
            *sum += value;
            *count += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
}

fn pieces(buckets: &[Option<f64>], top: f64) -> Vec<String> {
    let (width, height) = SIZE;
    let step = width / POINTS as f64;
    let point = |place: usize, value: f64| {
        let (x, y) = ((place + 1) as f64 * step, height - 1.0 - (value / top).clamp(0.0, 1.0) * (height - 4.0));
        format!("{x:.1},{y:.1}")
    };
    let mut pieces: Vec<Vec<String>> = Vec::new();
    let mut is_open = false;
    for (place, value) in buckets.iter().enumerate() {
        match (value, is_open) {
            (Some(value), true) => pieces.last_mut().into_iter().for_each(|piece| piece.push(point(place, *value))),
            // A line needs two points: one alone is drawn as a short one.
            (Some(value), false) => pieces.push(vec![
                format!("{:.1},{}", place as f64 * step, point(place, *value).split(',').nth(1).unwrap_or("0")),
                point(place, *value),
            ]),
            (None, _) => {}
        }
        is_open = value.is_some();
    }
    pieces.into_iter().map(|piece| piece.join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(at: Instant, bits: f64) -> Sample {
        Sample { at, bits, packets: 0.0, lost: [0.0; 10], spool: 0.0, disk: None, cpu: None, memory: None, temperature: None }
    }

    #[test]
    fn a_gap_in_the_samples_is_a_gap_in_the_line_and_now_is_at_the_right() {
        let begin = Instant::now();
        let now = begin + KEPT;
        let at = |seconds| begin + Duration::from_secs(seconds);
        let samples = [sample(at(0), 5.0), sample(at(1801), 5.0), sample(at(1821), 10.0), sample(at(3599), 2.5)];
        let chart = Chart::draw("traffic", &samples, now, &[("traffic", |s| Some(s.bits))], None, |v| v.to_string()).unwrap();
        assert_eq!(chart.lines[0].pieces[1..], ["180.0,41.0 182.0,41.0 184.0,3.0", "358.0,60.0 360.0,60.0"]);
        assert_eq!((chart.now.as_str(), chart.peak.as_str()), ("2.5", "10"));
    }

    #[test]
    fn what_was_never_measured_has_no_chart() {
        let now = Instant::now();
        assert!(Chart::draw("CPU", &[sample(now, 1.0)], now, &[("CPU", |s| s.cpu)], Some(1.0), |v| v.to_string()).is_none());
    }
}
