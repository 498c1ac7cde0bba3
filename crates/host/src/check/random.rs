//! Numbers to try functions at.

use retrograde_core::{Key, Stream};

/// Standard normal numbers, fixed by seed and name.
pub(crate) fn normals(seed: u64, name: &str, count: usize) -> Vec<f64> {
    let mut stream: Stream = Key::from_seed(seed).fold(name, 0).stream(0);
    let mut out = Vec::with_capacity(count + 1);
    while out.len() < count {
        // Box and Muller.
        let (u, v) = (uniform(&mut stream), uniform(&mut stream));
        let (r, angle) = ((-2.0 * u.ln()).sqrt(), std::f64::consts::TAU * v);
        out.push(r * angle.cos());
        out.push(r * angle.sin());
    }
    out.truncate(count);
    out
}

/// Uniform numbers in (0, 1), fixed by seed and name.
pub(crate) fn uniforms(seed: u64, name: &str, count: usize) -> Vec<f64> {
    let mut stream = Key::from_seed(seed).fold(name, 0).stream(0);
    (0..count).map(|_| uniform(&mut stream)).collect()
}

fn uniform(stream: &mut Stream) -> f64 {
    use retrograde_core::reexport::rand_core::Rng;
    ((stream.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}
