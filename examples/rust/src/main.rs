//! Samples two modes given by a closure, and estimates their evidence.

use retrograde::prelude::*;

fn main() -> Result<(), retrograde::Error> {
    // log ρ(x) = −(x² − 2)² a coordinate: 2³ modes, log Z = 3 · 0.293001736664.
    let target = PointTarget::new(3, |x, gradient| {
        gradient.iter_mut().zip(x).for_each(|(g, x)| *g = -4.0 * x * (x * x - 2.0));
        -x.iter().map(|x| (x * x - 2.0).powi(2)).sum::<f64>()
    });
    let result = Run::new(target).sampler(Smc::default()).draws(4000).seed(1).run()?;
    let log_z = result.log_z().expect("SMC estimates log Z");
    println!("log Z = {:.3} ± {:.3}, exactly 0.879", log_z.value, log_z.se.unwrap_or(f64::NAN));
    println!("mean of x₀ = {:.3}", result.summary()[0].mean);
    Ok(())
}
