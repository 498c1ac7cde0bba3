//! Bits of rows.

use super::Probe;
use crate::with_cx;
use ndarray::{Array1, Array2, ArrayView1, s};
use retrograde_core::{Cx, Result, Times};

impl Probe<'_> {
    /// Rows of a batch against rows alone.
    pub(super) fn rows(&self) {
        let p = self.process;
        if !p.traits().rowwise {
            return;
        }
        let (n, d) = self.points.dim();
        let m = p.noise_dim();
        // A batch that is no multiple of any vector's width, with the points at odd places.
        let count = 261;
        let x = Array2::from_shape_fn((count, d), |(i, j)| self.points[(i % n, j)]);
        let v = Array2::from_shape_fn((count, d), |(i, j)| crate::point(d + 5)[j + i % n % 5]);
        let z = Array2::from_shape_fn((count, m), |(i, j)| crate::point(m + 5)[j + i % n % 5]);
        let [early, middle, late] = self.times();
        let shared = Array1::from_elem(count, middle);
        let own = Array1::from_shape_fn(count, |i| [early, middle, late][i % n % 3]);
        type Call<'c> =
            &'c dyn Fn(&mut Cx<'_>, Times<'_>, &[Array2<f64>; 3], &mut Array2<f64>) -> Result;
        let check = |name: &str, f: Call<'_>| {
            let run = |times: Times<'_>, rows: std::ops::Range<usize>| {
                let part = [&x, &v, &z].map(|a| a.slice(s![rows.clone(), ..]).to_owned());
                let mut out = Array2::from_elem((rows.len(), d), f64::NAN);
                with_cx(1, |cx| f(cx, times, &part, &mut out)).expect("it evaluates");
                out
            };
            let batch = run(Times::Shared(middle), 0..count);
            let mixed = run(Times::PerRow(own.view()), 0..count);
            let same = |a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>| {
                a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
            };
            let alike = run(Times::PerRow(shared.view()), 0..count);
            for i in 0..count {
                let what = self.what;
                assert!(
                    same(batch.row(i), batch.row(i % n)),
                    "{what}: {name}: row {i} moved"
                );
                assert!(
                    same(mixed.row(i), mixed.row(i % n)),
                    "{what}: {name}: row {i}, own time, moved"
                );
                assert!(
                    same(batch.row(i), alike.row(i)),
                    "{what}: {name}: row {i}, shared or own time"
                );
            }
            for i in 0..n.min(count) {
                let alone = run(Times::Shared(own[i]), i..i + 1);
                assert!(
                    same(mixed.row(i), alone.row(0)),
                    "{}: {name}: row {i} alone",
                    self.what
                );
            }
        };
        check("drift", &|cx, t, [x, _, _], out| {
            p.drift(cx, t, x.view(), out.view_mut())
        });
        check("G z", &|cx, t, [x, _, z], out| {
            p.apply_g(cx, t, x.view(), z.view(), out.view_mut())
        });
        check("G Gᵀ v", &|cx, t, [x, v, _], out| {
            p.apply_ggt(cx, t, x.view(), v.view(), out.view_mut())
        });
        if let Some(a) = p.div_ggt() {
            check("divergence of G Gᵀ", &|cx, t, [x, _, _], out| {
                a.div_ggt(cx, t, x.view(), out.view_mut())
            });
        }
        if let Some(a) = p.drift_vjp() {
            check("(∂f)ᵀ u", &|cx, t, [x, v, _], out| {
                a.drift_vjp(cx, t, x.view(), v.view(), out.view_mut())
            });
        }
        if let Some(a) = p.drift_jvp() {
            check("∂f v", &|cx, t, [x, v, _], out| {
                a.drift_jvp(cx, t, x.view(), v.view(), out.view_mut())
            });
        }
        if let Some(a) = p.drift_divergence() {
            check("divergence of f", &|cx, t, [x, _, _], out| {
                out.fill(0.0);
                a.drift_divergence(cx, t, x.view(), out.column_mut(0))
            });
        }
        let (from, to) = self.pairs()[1];
        if let Some(a) = p.forward_map() {
            check("forward map", &|cx, _, [x, _, z], out| {
                a.forward_map(cx, from, to, x.view(), z.view(), out.view_mut())
            });
        }
        if let Some(a) = p.restore() {
            check("restoration", &|cx, _, [x, v, _], out| {
                a.restore(cx, to, to - from, x.view(), v.view(), out.view_mut())
            });
        }
        if let Some(a) = p.transition() {
            check("transition score", &|cx, _, [x, _, _], out| {
                let g = Some(out.view_mut());
                a.score(cx, from, to, x.view(), x.view(), None, g)
            });
            check("transition density", &|cx, _, [x, _, _], out| {
                out.fill(0.0);
                let l = Some(out.column_mut(0));
                a.score(cx, from, to, x.view(), x.view(), l, None)
            });
        }
        check("reference score", &|cx, _, [x, _, _], out| {
            p.reference_eval(cx, x.view(), None, Some(out.view_mut()))
        });
        check("reference density", &|cx, _, [x, _, _], out| {
            out.fill(0.0);
            p.reference_eval(cx, x.view(), Some(out.column_mut(0)), None)
        });
        if let Some(a) = p.warp() {
            check("warp", &|cx, _, [x, _, _], out| {
                a.warp(cx, x.view(), out.view_mut(), None)
            });
            check("score of a warp", &|cx, _, [x, v, _], out| {
                a.warp_score(cx, x.view(), v.view(), out.view_mut())
            });
        }
    }
}
