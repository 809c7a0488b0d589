"""A process's place in a job: from SLURM's environment or from flags."""

import pytest

from inv_jax.train import hosts
from inv_jax.types import InvError

_STEP = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_NODELIST": "gpu[07-08,11]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3)",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}


def test_a_task_of_a_slurm_step_knows_its_place():
    assert hosts.from_slurm(_STEP) == hosts.Membership("gpu07:61441", 6, 3)


@pytest.mark.parametrize("environment", [{}, {"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "1"}])
def test_outside_of_a_step_of_several_tasks_there_is_nothing_to_join(environment):
    assert hosts.from_slurm(environment) is None


def test_all_tasks_of_a_job_agree_on_the_coordinator():
    places = [
        hosts.from_slurm({**_STEP, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank // 2)})
        for rank in range(6)
    ]
    assert len({place.coordinator for place in places}) == 1
    assert [place.process_id for place in places] == list(range(6))


def test_tasks_that_see_the_same_devices_divide_them():
    seen = {**_STEP, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert hosts.from_slurm({**seen, "SLURM_LOCALID": "0"}).local_devices == (0, 1)
    assert hosts.from_slurm({**seen, "SLURM_LOCALID": "1"}).local_devices == (2, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"SLURM_STEP_TASKS_PER_NODE": "1(x6)", "SLURM_LOCALID": "0", "SLURM_NODEID": "3"},
        {"SLURM_GPUS_PER_TASK": "1"},
        {"SLURM_TRES_PER_TASK": "cpu=4,gres/gpu=2"},
        {"SLURM_STEP_GPUS": "0-7"},
        {"CUDA_VISIBLE_DEVICES": ""},
    ],
    ids=["alone on its node", "by GPUs", "by resources", "shown a part", "no devices"],
)
def test_a_task_that_sees_its_own_devices_takes_all_of_them(changes):
    place = hosts.from_slurm({**_STEP, "CUDA_VISIBLE_DEVICES": "0,1,2,3", **changes})
    assert place.local_devices is None


@pytest.mark.parametrize(
    "changes",
    [
        {"SLURM_TRES_PER_TASK": "cpu=4"},  # what --cpus-per-task leaves
        {"SLURM_GPUS_PER_TASK": "2", "SLURM_STEP_GPUS": "4-7"},  # with --gpu-bind=none
        {"CUDA_VISIBLE_DEVICES": "GPU-8f3a-1,GPU-8f3a-2,GPU-0-1,GPU-0-2"},
    ],
    ids=["cores are bound", "devices are not bound", "devices have names"],
)
def test_options_that_bind_no_devices_leave_them_to_be_divided(changes):
    place = hosts.from_slurm({**_STEP, "CUDA_VISIBLE_DEVICES": "0,1,2,3", **changes})
    assert place.local_devices == (2, 3)


def test_more_tasks_than_devices_are_an_error():
    with pytest.raises(InvError, match="2 tasks of a node see 1 devices"):
        hosts.from_slurm({**_STEP, "CUDA_VISIBLE_DEVICES": "0"})


@pytest.mark.parametrize("changes", [{"SLURM_HET_SIZE": "2"}, {"SLURM_NODEID": "7"}])
def test_an_environment_that_does_not_add_up_is_an_error(changes):
    with pytest.raises(InvError):
        hosts.from_slurm({**_STEP, **changes})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node3", "node3"),
        ("node3,other", "node3"),
        ("n[03-15],x", "n03"),
        ("n[9,11-12]", "n9"),
        ("login,n[1-2]", "login"),
        ("rack1-n[001-4]", "rack1-n001"),
    ],
)
def test_the_first_node_is_the_one_that_slurm_names_first(nodes, first):
    assert hosts.first_node(nodes) == first


def test_tasks_per_node_are_written_with_repeats():
    assert hosts.tasks_per_node("4(x2),1,2(x3)") == [4, 4, 1, 2, 2, 2]


def test_an_environment_without_srun_is_an_error():
    with pytest.raises(InvError, match=r"SLURM_PROCID.*srun"):
        hosts.from_slurm({k: v for k, v in _STEP.items() if k != "SLURM_PROCID"})


@pytest.mark.parametrize(
    ("coordinator", "num_processes", "process_id", "message"),
    [
        ("node1", 2, 0, "HOST:PORT"),
        (":1234", 2, 0, "HOST:PORT"),
        ("node1:1234", 2, 2, "process_id=2"),
        ("node1:1234", 0, 0, "num_processes=0"),
    ],
)
def test_a_place_that_cannot_be_is_an_error(coordinator, num_processes, process_id, message):
    with pytest.raises(InvError, match=message):
        hosts.Membership(coordinator, num_processes, process_id)
