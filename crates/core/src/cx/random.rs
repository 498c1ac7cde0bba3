//! Random numbers of a context.

use super::Cx;
use crate::rows::BLOCK;
use crate::stream::{Key, Stream};
use ndarray::{ArrayViewMut1, ArrayViewMut2};
use rand_distr::{Distribution, Open01, StandardNormal};

#[derive(Clone, Copy)]
enum Law {
    Normal,
    Uniform,
}

impl Law {
    fn fill(self, stream: &mut Stream, out: &mut [f64]) {
        match self {
            Law::Normal => out
                .iter_mut()
                .for_each(|z| *z = StandardNormal.sample(stream)),
            Law::Uniform => out.iter_mut().for_each(|u| *u = Open01.sample(stream)),
        }
    }
}

impl Cx<'_> {
    /// Fills `out` (n × d) with standard normals; row r comes from the stream of its block.
    pub fn fill_normal(&mut self, out: ArrayViewMut2<'_, f64>) {
        self.fill(out, Law::Normal);
    }

    /// Fills `out` (n × d) with uniforms on the open interval (0, 1).
    pub fn fill_uniform(&mut self, out: ArrayViewMut2<'_, f64>) {
        self.fill(out, Law::Uniform);
    }

    /// Standard normals for a vector with one number a row.
    pub fn fill_normal_1(&mut self, out: ArrayViewMut1<'_, f64>) {
        self.fill(out.insert_axis(ndarray::Axis(1)), Law::Normal);
    }

    /// Uniforms on (0, 1) for a vector with one number a row.
    pub fn fill_uniform_1(&mut self, out: ArrayViewMut1<'_, f64>) {
        self.fill(out.insert_axis(ndarray::Axis(1)), Law::Uniform);
    }

    /// One stream of its own, for what is not row by row (resampling, a single draw). Inside
    /// [`rows`](Cx::rows) each block has another.
    pub fn rng(&mut self) -> Stream {
        let block = (self.row0 / BLOCK) as u64;
        self.next_key("rng").stream(block)
    }

    /// A stream a row, for components that draw an unknown count of numbers per row. `row` counts
    /// from the first row of this context.
    pub fn row_streams(&mut self) -> impl Fn(usize) -> Stream + Sync + use<> {
        let key = self.next_key("rows");
        let row0 = self.row0;
        move |row| key.stream((row0 + row) as u64)
    }

    fn next_key(&mut self, name: &str) -> Key {
        let key = self.key.fold(name, self.fills);
        self.fills += 1;
        key
    }

    fn fill(&mut self, out: ArrayViewMut2<'_, f64>, law: Law) {
        let key = self.next_key("fill");
        let n = out.nrows();
        if self.inside || n <= 4 * BLOCK || self.shared.services.threads() == 1 {
            return fill_rows(&key, law, self.row0, out);
        }
        let filled = self.spread(n, BLOCK, usize::MAX, out, |cx, _, part| {
            fill_rows(&key, law, cx.row0, part);
            Ok(())
        });
        debug_assert!(filled.is_ok(), "filling cannot fail");
    }
}

/// Fills `out` with the rows from `row` on.
fn fill_rows(key: &Key, law: Law, mut row: usize, mut out: ArrayViewMut2<'_, f64>) {
    while out.nrows() > 0 {
        let mut stream = key.stream((row / BLOCK) as u64);
        // Rows of the block that are not asked for: their numbers come first.
        let before = row % BLOCK;
        for _ in 0..before * out.ncols() {
            law.fill(&mut stream, &mut [0.0]);
        }
        let rows = (BLOCK - before).min(out.nrows());
        let (mut block, rest) = out.split_at(ndarray::Axis(0), rows);
        out = rest;
        row += rows;
        if let Some(values) = block.as_slice_mut() {
            law.fill(&mut stream, values);
        } else {
            for mut row in block.rows_mut() {
                for v in &mut row {
                    law.fill(&mut stream, std::slice::from_mut(v));
                }
            }
        }
    }
}
