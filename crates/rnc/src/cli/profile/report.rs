//! A profile as text.

use rnc::profile::Bound;

use super::Order;
use super::measure::{Profiled, Row};
use crate::cli::run::percent;
use crate::cli::table::{Column, Table};

/// The report for people.
pub(super) fn text(profiled: &Profiled, order: Order, top: Option<usize>) -> String {
    let Profiled { run_median_us, run_minimum_us, runs, batch, threads, isa, .. } = profiled;
    let plural = if *threads == 1 { "" } else { "s" };
    let run = format!(
        "a run      {:.3} ms median, {:.3} ms least of {runs}; batch {batch}, {threads} thread{plural}, {isa}",
        run_median_us / 1e3,
        run_minimum_us / 1e3
    );
    let flops: u64 = profiled.steps.iter().map(|step| step.flops).sum();
    let total = profiled.total_us();
    let sum =
        format!("its steps  {:.3} ms, the sum of medians; {:.1} GFLOP/s", total / 1e3, flops as f64 / total / 1e3);
    let machine = format!(
        "machine    {}: at most {:.0} GFLOP/s and {:.1} GB/s on so many threads",
        profiled.machine, profiled.peak_gflops, profiled.peak_gb_per_s
    );
    let steps = steps(profiled, order, top).render(0);
    let kinds = kinds(&profiled.steps).render(0);
    [run, sum, machine, String::new(), steps, kinds].join("\n")
}

fn steps(profiled: &Profiled, order: Order, top: Option<usize>) -> Table {
    let numbers = ["µs", "least", "share", "GFLOP/s", "% of roof"].map(Column::number);
    let texts = ["name", "kernel", "tile"].map(Column::text);
    let mut table =
        Table::new(&[&[Column::number("step")], &texts[..], &numbers, &[Column::text("bound by")]].concat());
    let mut rows: Vec<&Row> = profiled.steps.iter().collect();
    match order {
        Order::Time => rows.sort_by(|a, b| b.median_us.total_cmp(&a.median_us)),
        Order::Plan => {}
    }
    for step in rows.into_iter().take(top.unwrap_or(usize::MAX)) {
        let tile = step.tile.map_or_else(String::new, |[pixels, channels]| format!("{pixels}×{channels}"));
        let bound = match step.bound {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
        };
        table.row([
            step.index.to_string(),
            step.name.clone(),
            step.kernel.clone(),
            tile,
            format!("{:.1}", step.median_us),
            format!("{:.1}", step.minimum_us),
            percent(step.share),
            if step.flops == 0 { "–".to_owned() } else { format!("{:.1}", step.gflops) },
            format!("{:.0}", step.percent_of_roof),
            bound.to_owned(),
        ]);
    }
    table
}

/// What each kind of kernel takes, the largest part first.
fn kinds(steps: &[Row]) -> Table {
    let mut sums: Vec<(&str, usize, f64, f64, u64)> = Vec::new();
    for step in steps {
        if !sums.iter().any(|sum| sum.0 == step.kind) {
            sums.push((step.kind, 0, 0.0, 0.0, 0));
        }
        let sum = sums.iter_mut().find(|sum| sum.0 == step.kind).expect("it was just put there");
        *sum = (sum.0, sum.1 + 1, sum.2 + step.median_us, sum.3 + step.share, sum.4 + step.flops);
    }
    sums.sort_by(|a, b| b.2.total_cmp(&a.2));
    let columns = ["steps", "µs", "share", "GFLOP/s"].map(Column::number);
    let mut table = Table::new(&[&[Column::text("kind")], &columns[..]].concat());
    for (kind, count, us, share, flops) in sums {
        let rate = if flops == 0 { "–".to_owned() } else { format!("{:.1}", flops as f64 / us / 1e3) };
        table.row([kind.to_owned(), count.to_string(), format!("{us:.1}"), percent(share), rate]);
    }
    table
}
