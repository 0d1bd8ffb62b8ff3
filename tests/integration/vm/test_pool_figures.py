"""The pool's figures on a real Cloud Hypervisor, printed for `make bench`; no time decides here."""

import json
from dataclasses import asdict

import pytest

from tests.bench.pool import MARK, measure_on
from tests.contracts.rigs import real_cloud_hypervisor

TURNS = 4


@pytest.mark.nested
@pytest.mark.timeout(1200)
async def test_the_pool_s_figures_are_measured(town, guest_image, vm_directory):
    figures = await measure_on(
        town.database,
        town.host_id,
        directory=vm_directory,
        hypervisor=real_cloud_hypervisor(),
        image=guest_image,
        turns=TURNS,
    )
    for figure in figures:
        assert figure.n > 0
        print(f"\n{MARK}{json.dumps(asdict(figure), ensure_ascii=False)}")
