"""im2col and col2im of any geometry against their definitions, through the public functions and in any layout."""
from __future__ import annotations

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from properties.strategies import arrays, convolutions, dtypes, every_backend, layouts

from fastconv import dispatch
from fastconv.util import col2im, im2col

small = convolutions(most=4).filter(lambda case: case.dilation == (1, 1)
                                    and np.prod(case.out[:3]) * case.weight[1] < 300)


@every_backend
@given(case=small, dtype=dtypes, data=st.data())
def test_im2col_and_col2im(backend, case, dtype, data):
    N, H, W, C = case.x
    size, geometry = case.filters[1:], (case.stride, case.pad)
    x = data.draw(layouts(data.draw(arrays(N, C, H, W, dtype=dtype))))
    expected = naive.im2col(x, size, *geometry)
    with dispatch.use(backend):
        col = im2col(x, *size, *geometry)
        np.testing.assert_array_equal(col, expected)
        assert col.dtype == dtype
        dcol = data.draw(layouts(data.draw(arrays(*expected.shape, dtype=dtype))))
        dx = col2im(dcol, (N, C, H, W), *size, *geometry)
    np.testing.assert_allclose(dx, naive.col2im(dcol, (N, C, H, W), size, *geometry), rtol=1e-4, atol=1e-4)
