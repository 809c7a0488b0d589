"""States within a frame."""

from inv_jax import params as params_lib


def test_the_newest_state_within_a_frame_replaces_the_one_before(
    store, tmp_path, params_of, optimizer_of, assert_same
):
    assert store.partial_frames() == []
    for step in (100, 200):
        store.save_partial(3, step, params_of(step), optimizer_of(step), {"seconds": step / 10})
    metadata, params, optimizer = store.partial(3)
    assert metadata == {"frame": 3, "step": 200, "seconds": 20.0}
    assert_same(params, params_of(200))
    assert_same(params_lib.nest(optimizer), params_lib.nest(optimizer_of(200)))
    assert len(list((tmp_path / "partial").iterdir())) == 1
    assert store.frames() == []


def test_a_state_is_stored_once(store, params_of, optimizer_of, assert_same):
    store.save_partial(3, 100, params_of(1), optimizer_of(1), {})
    store.save_partial(3, 100, params_of(2), optimizer_of(2), {})
    assert_same(store.partial(3)[1], params_of(1))


def test_a_stored_frame_ends_the_states_that_led_to_it(store, roles, params_of, optimizer_of):
    store.save_partial(1, 100, params_of(1), optimizer_of(1), {})
    store.save(1, params_of(2), optimizer_of(2), trained=roles.all, metadata={})
    assert store.partial_frames() == []


def test_frames_in_training_at_once_have_a_state_each(
    store, roles, params_of, optimizer_of, assert_same
):
    for frame, step in ((2, 100), (3, 50), (2, 200)):
        store.save_partial(frame, step, params_of(step), optimizer_of(step), {})
    assert store.partial_frames() == [2, 3]
    assert [store.partial(frame)[0]["step"] for frame in (2, 3)] == [200, 50]
    store.save(2, params_of(2), optimizer_of(2), trained=roles.all, metadata={})
    assert store.partial_frames() == [3]
    assert_same(store.partial(3)[1], params_of(50))


def test_params_kept_for_study_are_no_state_to_go_on_from(store, tmp_path, params_of):
    for step in (100, 200, 200):
        store.save_intermediate(2, step, params_of(step))
    assert store.partial_frames() == []
    assert store.frames() == []
    folders = sorted(path.name for path in (tmp_path / "intermediate").iterdir())
    assert folders == ["2000000100", "2000000200"]
