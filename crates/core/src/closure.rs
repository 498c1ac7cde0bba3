//! Targets from closures.

use crate::{Cx, Result, Target};
use ndarray::{Array1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// A target from a closure on one point: it gives ℓ(x) and writes ∇ℓ(x) into its second argument.
///
/// ```
/// use retrograde_core::{PointTarget, Target};
/// let normal = PointTarget::new(2, |x, grad| {
///     grad[0] = -x[0];
///     grad[1] = -x[1];
///     -0.5 * (x[0] * x[0] + x[1] * x[1])
/// });
/// assert_eq!(normal.dim(), 2);
/// ```
pub struct PointTarget<F> {
    dim: usize,
    gradient: bool,
    function: F,
}

impl<F> std::fmt::Debug for PointTarget<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PointTarget")
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(&[f64], &mut [f64]) -> f64 + Send + Sync> PointTarget<F> {
    /// A target of dimension `dim` ≥ 1 from a function that writes its gradient.
    pub fn new(dim: usize, function: F) -> Self {
        Self {
            dim,
            gradient: true,
            function,
        }
    }

    /// A target from a function that leaves its second argument alone: it has no gradient.
    pub fn density_only(dim: usize, function: F) -> Self {
        Self {
            dim,
            gradient: false,
            function,
        }
    }
}

impl<F: Fn(&[f64], &mut [f64]) -> f64 + Send + Sync> Target for PointTarget<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn has_gradient(&self) -> bool {
        self.gradient
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        mut log_density: Option<ArrayViewMut1<'_, f64>>,
        mut gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let mut buffer = cx.take(2 * self.dim);
        let (point, grad) = buffer.split_at_mut(self.dim);
        for (r, row) in x.rows().into_iter().enumerate() {
            point.iter_mut().zip(row).for_each(|(p, v)| *p = *v);
            grad.fill(0.0);
            let value = (self.function)(point, grad);
            if let Some(l) = &mut log_density {
                l[r] = value;
            }
            if let Some(g) = &mut gradient {
                g.row_mut(r).assign(&ndarray::aview1(grad));
            }
        }
        cx.give(buffer);
        Ok(())
    }
}

/// A target from a closure on a batch: x (n × d) in, log density (n) and gradient (n × d) out.
pub struct BatchTarget<F> {
    dim: usize,
    function: F,
}

impl<F> std::fmt::Debug for BatchTarget<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchTarget")
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

impl<F> BatchTarget<F>
where
    F: Fn(ArrayView2<'_, f64>, ArrayViewMut1<'_, f64>, ArrayViewMut2<'_, f64>) + Send + Sync,
{
    /// A target of dimension `dim` ≥ 1 from a function that writes both outputs. It must treat
    /// rows alone: a row's result may not depend on n or on its place.
    pub fn new(dim: usize, function: F) -> Self {
        Self { dim, function }
    }
}

impl<F> Target for BatchTarget<F>
where
    F: Fn(ArrayView2<'_, f64>, ArrayViewMut1<'_, f64>, ArrayViewMut2<'_, f64>) + Send + Sync,
{
    fn dim(&self) -> usize {
        self.dim
    }

    fn eval(
        &self,
        cx: &mut Cx<'_>,
        x: ArrayView2<'_, f64>,
        log_density: Option<ArrayViewMut1<'_, f64>>,
        gradient: Option<ArrayViewMut2<'_, f64>>,
    ) -> Result {
        let (n, d) = x.dim();
        let (mut spare_l, mut spare_g) = (Vec::new(), Vec::new());
        let l = log_density.unwrap_or_else(|| {
            spare_l = cx.take(n);
            ArrayViewMut1::from(&mut spare_l)
        });
        match gradient {
            Some(g) => (self.function)(x, l, g),
            None => {
                spare_g = cx.take(n * d);
                let mut g = Array1::from(spare_g)
                    .into_shape_with_order((n, d))
                    .expect("n × d numbers");
                (self.function)(x, l, g.view_mut());
                spare_g = g.into_raw_vec_and_offset().0;
            }
        }
        cx.give(spare_l);
        cx.give(spare_g);
        Ok(())
    }
}
