//! Samples two modes given by a closure, and estimates their evidence.

use retrograde::prelude::*;

fn main() -> Result<(), retrograde::Error> {
    // log ρ(x) = −(x² − 2)² a coordinate: 2³ modes, log Z = 3 · 0.293001736664.
    let target = PointTarget::new(3, |x, gradient| {
        for (g, x) in gradient.iter_mut().zip(x) {
            *g = -4.0 * x * (x * x - 2.0);
        }
        -x.iter().map(|x| (x * x - 2.0).powi(2)).sum::<f64>()
    });
    let run = Run::new(target).sampler(Smc::default()).draws(4000);
    let result = run.seed(1).run()?;
    let log_z = result.log_z().expect("SMC estimates log Z");
    let se = log_z.se.unwrap_or(f64::NAN);
    println!("log Z = {:.3} ± {se:.3}, exactly 0.879", log_z.value);
    println!("mean of x₀ = {:.3}", result.summary()[0].mean);
    Ok(())
}
