from threadpoolctl import threadpool_info

from pigeonhole.features.threads import one_thread


def test_blas_and_openmp_have_one_thread_inside_and_their_own_number_after():
    with one_thread("sklearn.manifold"):
        inside = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    after = {pool["filepath"] for pool in threadpool_info()}
    assert len(inside) >= 3  # NumPy's and SciPy's BLAS, scikit-learn's OpenMP
    assert set(inside.values()) == {1}
    assert after == inside.keys()  # nothing that was used is loaded later
