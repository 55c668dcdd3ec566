r"""A scan by the nodes of a SLURM cluster: workers are jobs that dask-jobqueue submits.

    pip install 'auditor[cluster]' dask-jobqueue
    python examples/cluster/slurm.py --jobs 8 --queue batch -- \
        -i targets.txt --qps 20000 -o /shared/run/

Runs on the login node, or as a small job of its own. What stands behind `--` goes to
`auditor scan`; its exit code is that of this program. The folder of the output need not be
shared: the workers write nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from dask_jobqueue import SLURMCluster  # type: ignore[import-not-found]


def main() -> int:
    """Submit the jobs, scan, and end the jobs."""
    parser = argparse.ArgumentParser(description="auditor scan on SLURM")
    parser.add_argument("--jobs", type=int, default=4, help="nodes (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=16, help="of a node (default: %(default)s)")
    parser.add_argument("--memory", default="16GB", help="of a node (default: %(default)s)")
    parser.add_argument("--walltime", default="06:00:00", help="(default: %(default)s)")
    parser.add_argument("--queue", help="the partition")
    parser.add_argument("scan", nargs="+", help="arguments of auditor scan, after --")
    arguments = parser.parse_args()
    with SLURMCluster(
        queue=arguments.queue,
        cores=arguments.cores,
        # A process for each core: that is what a worker of auditor fills.
        processes=arguments.cores,
        memory=arguments.memory,
        walltime=arguments.walltime,
        python=sys.executable,
        # No worker looks for modules in the folder that it happens to start in.
        job_script_prologue=["export PYTHONSAFEPATH=1"],
    ) as cluster:
        # A job that ends is submitted again, as long as the scan goes on.
        cluster.adapt(minimum_jobs=arguments.jobs, maximum_jobs=arguments.jobs)
        command = [sys.executable, "-P", "-m", "auditor", "scan", *arguments.scan]
        address = ["--scheduler", cluster.scheduler_address]
        return subprocess.run([*command, *address], check=False).returncode  # noqa: S603 - our own


if __name__ == "__main__":
    sys.exit(main())
