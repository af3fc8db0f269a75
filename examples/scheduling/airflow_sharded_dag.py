"""An Airflow DAG: each hour eight tasks that divide what is new among them; a task that fails is tried again alone."""

from datetime import datetime, timedelta

from airflow.sdk import dag, task

SHARDS = 8


@dag(
    schedule=timedelta(hours=1),
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  Airflow adds its own time zone
    catchup=False,  # a run reads all that is new, so missed starts need none of their own
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(minutes=50)},
)
def holded_pipeline_shards() -> None:
    """The environment of the workers has the secrets that holded-pipeline.toml names."""

    @task.bash(max_active_tis_per_dagrun=4)
    def run(shard: str) -> str:
        # `exec`: the signal that ends the task reaches the pipeline itself, which then finishes its run.
        program = "exec /opt/holded/bin/holded-pipeline"
        return f"cd /etc/holded && {program} run --config holded-pipeline.toml --shard {shard}"

    run.expand(shard=[f"{number}/{SHARDS}" for number in range(SHARDS)])


holded_pipeline_shards()
