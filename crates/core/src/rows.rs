//! Rows of a batch, handed out in blocks.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};

/// Rows of a block: the unit in which random streams are addressed and rows are spread.
pub const BLOCK: usize = 256;

/// Row-indexed data that can be cut in two: views, options and tuples of them.
pub trait RowSplit: Sized {
    /// The first `rows` rows, and the rest.
    fn split(self, rows: usize) -> (Self, Self);
}

macro_rules! split_view {
    ($($view:ident),*) => {$(
        impl<T> RowSplit for $view<'_, T> {
            #[inline]
            fn split(self, rows: usize) -> (Self, Self) {
                self.split_at(Axis(0), rows)
            }
        }
    )*};
}
split_view!(ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2);

impl<T: RowSplit> RowSplit for Option<T> {
    #[inline]
    fn split(self, rows: usize) -> (Self, Self) {
        match self {
            None => (None, None),
            Some(all) => {
                let (a, b) = all.split(rows);
                (Some(a), Some(b))
            }
        }
    }
}

impl RowSplit for () {
    fn split(self, _rows: usize) -> (Self, Self) {
        ((), ())
    }
}

macro_rules! split_tuple {
    ($($name:ident),+) => {
        impl<$($name: RowSplit),+> RowSplit for ($($name,)+) {
            #[inline]
            #[allow(non_snake_case)]
            fn split(self, rows: usize) -> (Self, Self) {
                let ($($name,)+) = self;
                $(let $name = $name.split(rows);)+
                (($($name.0,)+), ($($name.1,)+))
            }
        }
    };
}
split_tuple!(A);
split_tuple!(A, B);
split_tuple!(A, B, C);
split_tuple!(A, B, C, D);
split_tuple!(A, B, C, D, E);
split_tuple!(A, B, C, D, E, F);
split_tuple!(A, B, C, D, E, F, G);
split_tuple!(A, B, C, D, E, F, G, H);
