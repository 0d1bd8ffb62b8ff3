"""The pool's figures on a real Cloud Hypervisor, printed for `make bench`; no time decides here."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from tests.bench import hibernation
from tests.bench.figures import Figure, machine
from tests.bench.pool import MARK, measure_on
from tests.contracts.rigs import real_cloud_hypervisor
from tests.support.xfs import xfs

TURNS = 3


@pytest.mark.nested
@pytest.mark.timeout(3600)
async def test_the_pool_s_figures_are_measured(town, guest_image, vm_directory):
    figures = await measure_on(
        town.database,
        town.host_id,
        directory=vm_directory,
        hypervisor=real_cloud_hypervisor(),
        image=guest_image,
        turns=TURNS,
    )
    shown(figures)


@pytest.mark.nested
@pytest.mark.timeout(3600)
async def test_the_figures_of_hibernations_are_measured(tmp_path):
    with xfs(tmp_path) as place:
        shown(await hibernation.measure_on(place, real_cloud_hypervisor(), turns=TURNS))


def shown(figures: Sequence[Figure]) -> None:
    for figure in figures:
        assert figure.n > 0
        said = asdict(replace(figure, machine=machine()))
        print(f"\n{MARK}{json.dumps(said, ensure_ascii=False)}")
