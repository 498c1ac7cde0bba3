//! How much memory a run needs, and how much there is.

/// Columns beside coordinates that a sampler writes at most: log weight and statistics.
const STATS: u128 = 6;
const NUMBER: u128 = 8;

/// Bytes that a run needs at its highest: while it runs, positions and gradients of `rows` chains or
/// particles and their copy for a checkpoint; at its end all draws as they were kept, and again with
/// their `outputs` as they are written. What does not grow with the draws is left out.
pub(crate) fn needed_memory(draws: usize, d: usize, outputs: usize, rows: usize) -> u128 {
    let (draws, d, outputs, rows) = (draws as u128, d as u128, outputs as u128, rows as u128);
    let running = rows.saturating_mul(4 * d);
    let writing = draws.saturating_mul(2 * (d + STATS) + outputs);
    running.max(writing).saturating_mul(NUMBER)
}

/// Memory that could be had now, where the system tells (Linux): what is free, less where a
/// container or a shell (`ulimit -v`) has set a limit.
pub(crate) fn available_memory() -> Option<u128> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let free =
        read("/proc/meminfo").and_then(|text| field(&text, "MemAvailable:")?.checked_mul(1024));
    let address_space =
        read("/proc/self/limits").and_then(|text| field(&text, "Max address space"));
    [free, container(&read), address_space]
        .into_iter()
        .flatten()
        .min()
}

/// The first number behind `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u128> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the control group (version 2) of this process leaves.
fn container(read: &dyn Fn(&str) -> Option<String>) -> Option<u128> {
    let group = read("/proc/self/cgroup")?;
    let path = group
        .lines()
        .find_map(|l| l.strip_prefix("0::"))?
        .trim_end_matches('/');
    let file = |name: &str| read(&format!("/sys/fs/cgroup{path}/{name}"));
    // "max", where there is no limit, is no number. Cached files do not count: they give way.
    let most: u128 = file("memory.max")?.trim().parse().ok()?;
    Some(most.saturating_sub(field(&file("memory.stat")?, "anon ")?))
}

/// Bytes in words.
pub(crate) fn human(bytes: u128) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_as_the_system_writes_it() {
        let limits = "Max cpu time  unlimited  unlimited  seconds\nMax address space         \
                      2048000000           unlimited            bytes     \n";
        assert_eq!(field(limits, "Max address space"), Some(2_048_000_000));
        assert_eq!(field(limits, "Max cpu time"), None);
        let read = |path: &str| {
            Some(match path {
                "/proc/self/cgroup" => "1:name=x:/y\n0::/box\n".to_owned(),
                "/sys/fs/cgroup/box/memory.max" => "1000\n".into(),
                "/sys/fs/cgroup/box/memory.stat" => "file 500\nanon 400\nanon_thp 0\n".into(),
                _ => return None,
            })
        };
        assert_eq!(container(&read), Some(600));
        assert_eq!(container(&|_| Some("max\n".into())), None);
    }

    #[test]
    fn memory_is_that_of_the_largest_moment() {
        // Few chains: two copies of 10 × (5 + 6) numbers and 10 × 3 outputs; many: four of 10 × 50.
        assert_eq!(needed_memory(10, 5, 3, 4), 8 * (2 * 10 * 11 + 10 * 3));
        assert_eq!(needed_memory(10, 50, 0, 10), 8 * 4 * 10 * 50);
        assert!(needed_memory(usize::MAX, usize::MAX, 0, usize::MAX) > u128::from(u64::MAX));
    }
}
