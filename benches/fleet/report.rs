//! Figures, as JSON and as a table.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::Size;

/// What has been measured so far. Each case is written as soon as it is there.
pub struct Report {
    size: Size,
    output: PathBuf,
    cases: Vec<(String, Value)>,
}

impl Report {
    pub fn new(size: Size, output: &std::path::Path) -> Self {
        fs::create_dir_all(output).unwrap();
        Self { size, output: output.to_owned(), cases: Vec::new() }
    }

    pub fn add(&mut self, name: &str, figures: Value) {
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let whole = json!({
            "case": name, "size": format!("{:?}", self.size).to_lowercase(), "version": env!("CARGO_PKG_VERSION"),
            "time": jiff::Timestamp::now().to_string(), "processors": processors, "figures": figures,
        });
        let text = serde_json::to_string_pretty(&whole).unwrap();
        fs::write(self.output.join(format!("{name}.json")), text).unwrap();
        println!("{name}: {}", line(&figures));
        self.cases.push((name.to_owned(), figures));
    }

    pub fn print(&self) {
        println!("\n{:<20} figures (JSON in {})", "case", self.output.display());
        for (name, figures) in &self.cases {
            println!("{name:<20} {}", line(figures));
        }
    }
}

/// The figures that one looks at first.
fn line(figures: &Value) -> String {
    const SHOWN: [(&str, &str); 24] = [
        ("/ratio_to_limit", "times the limit"),
        ("/pairs/0/limit/seconds", "s limit"),
        ("/pairs/0/operator/seconds", "s"),
        ("/pairs/0/operator/cpu_ms_per_credential", "ms CPU each"),
        ("/pairs/0/operator/peak_mib", "MiB peak"),
        ("/pairs/0/operator/settled_mib", "MiB settled"),
        ("/seconds", "s"),
        ("/writes", "writes"),
        ("/refreshes", "refreshes"),
        ("/idle/requests_per_hour", "requests an hour idle"),
        ("/idle/cpu_seconds_per_hour", "CPU s an hour idle"),
        ("/settled_mib", "MiB settled"),
        ("/scrape/seconds", "s a scrape"),
        ("/scrape/size_mib", "MiB a scrape"),
        ("/slowest_seconds", "s until the slowest is Ready"),
        ("/late_seconds/p50", "s late (p50)"),
        ("/late_seconds/p99", "s late (p99)"),
        ("/late_seconds/max", "s late (max)"),
        ("/late_seconds_without/max", "s late without (max)"),
        ("/requests_per_second", "requests a second"),
        ("/cpu_ms_per_request", "ms CPU each"),
        ("/expired", "expired"),
        ("/replays", "replays"),
        ("/memory_mib_per_hour", "MiB an hour"),
    ];
    let shown = SHOWN.iter().filter_map(|(path, unit)| {
        let value = figures.pointer(path)?.as_f64()?;
        Some(format!("{} {unit}", (value * 1000.0).round() / 1000.0))
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 0.5)
}

/// By the nearest rank; 0 of nothing.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Of the second half of what was measured, by least squares: what a start takes is no leak.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let points = &points[points.len() / 2..];
    let count = points.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let rise: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let run: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if run > 0.0 { rise / run } else { 0.0 }
}
