"""Airflow's definitions of the shapes, in its folder of DAGs: one container a task, whose last line goes to XCom."""

import os
import sys

sys.path.append(os.environ["BENCHMARK"])

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, chain
from peers.shapes import AT_ONCE, IMAGE, SHAPES, is_chain, number_of

for shape, steps in SHAPES.items():
    with DAG(shape, schedule=None, max_active_tasks=AT_ONCE) as dag:
        tasks = [
            DockerOperator(
                task_id=step,
                image=IMAGE,
                command=["echo", str(number_of(step))],
                labels={"drayage/deployment": os.environ["DRAYAGE_DEPLOYMENT"]},
                # What takes the operator time and these tasks do not need.
                mount_tmp_dir=False,
                # As a user wants it, and as drayage does.
                auto_remove="success",
            )
            for step in steps
        ]
        if is_chain(shape):
            chain(*tasks)
    globals()[shape] = dag
