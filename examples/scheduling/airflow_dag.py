"""An Airflow DAG: a run each five minutes, one at a time, with a time limit."""

from datetime import datetime, timedelta

from airflow.sdk import dag, task


@dag(
    schedule=timedelta(minutes=5),
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001  Airflow adds its own time zone
    catchup=False,  # a run reads all that is new, so missed starts need none of their own
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(minutes=30)},
)
def holded_pipeline() -> None:
    """The environment of the worker has the secrets that holded-pipeline.toml names."""

    @task.bash
    def run() -> str:
        # `exec`: the signal that ends the task reaches the pipeline itself, which then finishes its run.
        return "cd /etc/holded && exec /opt/holded/bin/holded-pipeline run --config holded-pipeline.toml"

    run()


holded_pipeline()
