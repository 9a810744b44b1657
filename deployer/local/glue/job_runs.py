"""Glue job runs: StartJobRun runs the deployed script on Spark.

This module is the API and the life of a run (states, limits, stop, timeout, events); job_process.py runs it.
"""

from __future__ import annotations

import contextvars
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import Any

from deployer.local.completion import App, LocalCloud, Receive, Scope, Send
from deployer.local.emulator.event_bus import emit
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.glue.java import cache_directory
from deployer.local.glue.job_process import JobProcess, LaunchError, RunSpec, script_arguments
from deployer.local.glue.mounts import MOUNTS
from deployer.local.glue.spark_settings import Archives

Data = dict[str, Any]
ACTIVE = ("STARTING", "RUNNING", "STOPPING", "WAITING")
DEFAULT_LOG_GROUP_PREFIX = "/aws-glue/jobs"
#: How long stopped runs may take to reach their last state when the local cloud ends.
END_SECONDS = 5.0


def install(cloud: LocalCloud) -> None:
    """Replace the job-run calls and follow S3 for the mounts."""
    glue, s3 = load("services.glue"), load("services.s3")
    for name in ("_buckets", "_plain_path_key", "_object_disk_path", "_put_object", "_delete_object", "_in_account"):
        require(s3, name)
    require(glue, "_job_runs")
    require(glue, "_security_configs")
    MOUNTS.follow(s3)
    archives = Archives(cache_directory(os.environ))
    threading.Thread(target=archives.make_base, daemon=True).start()
    runs = JobRuns(glue, cloud, archives)
    cloud.at_end.append(runs.end_all)
    replace(glue, "_start_job_run", lambda data: runs.start(data))
    replace(glue, "_get_job_run", lambda data: runs.describe(data))
    replace(glue, "_get_job_runs", lambda data: runs.list_runs(data))
    replace(glue, "_batch_stop_job_run", lambda data: runs.stop(data))


def log_group_prefix(job: Mapping[str, Any], arguments: Mapping[str, str], configurations: Mapping[str, Any]) -> str:
    """Return what comes before ``/error`` and ``/output`` in the names of a run's log groups.

    If the security configuration encrypts logs, Glue adds its name and the role's.
    https://docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html
    """
    prefix = arguments.get("--custom-logGroup-prefix", DEFAULT_LOG_GROUP_PREFIX)
    name = job.get("SecurityConfiguration") or ""
    encryption = configurations.get(name, {}).get("EncryptionConfiguration", {}).get("CloudWatchEncryption", {})
    if encryption.get("CloudWatchEncryptionMode") != "SSE-KMS":
        return prefix
    return f"{prefix}/{name}-role/{job['Role'].rsplit('/', 1)[-1]}"


def middleware(cloud: LocalCloud, app: App) -> App:
    """Wrap the app so that whatever running jobs have written is in S3 before any request is answered."""

    async def importing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            MOUNTS.import_finished()
        await app(scope, receive, send)

    return importing


class JobRuns:
    """The runs of all jobs; the records are the emulator's, so that its persistence keeps them."""

    def __init__(self, glue: Any, cloud: LocalCloud, archives: Archives) -> None:
        self._glue = glue
        self._cloud = cloud
        self._archives = archives
        self._processes: dict[str, JobProcess] = {}
        self._starting = threading.Lock()

    def start(self, data: Data) -> Any:
        """Answer StartJobRun: refuse an unknown job, or a run above the limit, otherwise answer at once."""
        job = self._glue._jobs.get(data.get("JobName"))
        if job is None:
            return self._error("EntityNotFoundException", "Failed to start job run due to missing metadata.")
        with self._starting:
            runs = self._glue._job_runs.setdefault(job["Name"], [])
            limit = int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns", 1))
            if sum(run["JobRunState"] in ACTIVE for run in runs) >= limit:
                return self._error("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job['Name']}")
            run = new_run(job, data)
            runs.insert(0, run)
        arguments = script_arguments(job, run["Id"], data.get("Arguments") or {})
        process = self._process(job, run, arguments)
        self._processes[run["Id"]] = process
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._live, job["Name"], run, process), daemon=True).start()
        return self._glue.json_response({"JobRunId": run["Id"]})

    def describe(self, data: Data) -> Any:
        """Answer GetJobRun."""
        for run in self._glue._job_runs.get(data.get("JobName"), []):
            if run["Id"] == data.get("RunId"):
                return self._glue.json_response({"JobRun": shown(run)})
        return self._error("EntityNotFoundException", f"Job run {data.get('RunId')} not found")

    def list_runs(self, data: Data) -> Any:
        """Answer GetJobRuns, newest first, in pages."""
        if data.get("JobName") not in self._glue._jobs:
            return self._error("EntityNotFoundException", f"Job {data.get('JobName')} not found")
        runs = [shown(run) for run in self._glue._job_runs.get(data["JobName"], [])]
        begin, size = int(data.get("NextToken") or 0), int(data.get("MaxResults") or 200)
        page: Data = {"JobRuns": runs[begin : begin + size]}
        if begin + size < len(runs):
            page["NextToken"] = str(begin + size)
        return self._glue.json_response(page)

    def stop(self, data: Data) -> Any:
        """Answer BatchStopJobRun: end the processes, and report a run that is not active."""
        done, errors = [], []
        known = {run["Id"]: run for run in self._glue._job_runs.get(data.get("JobName"), [])}
        for run_id in data.get("JobRunIds", []):
            named = {"JobName": data["JobName"], "JobRunId": run_id}
            run = known.get(run_id)
            if run is not None and run["JobRunState"] in ACTIVE:
                run.update(JobRunState="STOPPING", LastModifiedOn=int(time.time()))
                if (process := self._processes.get(run_id)) is not None:
                    process.kill()
                done.append(named)
            else:
                code = "JobRunNotInTerminalStateException" if run is None else "InvalidInputException"
                what = "not found" if run is None else f"in state {run['JobRunState']}"
                detail = {"ErrorCode": code, "ErrorMessage": f"Job run {run_id} is {what}"}
                errors.append({**named, "ErrorDetail": detail})
        return self._glue.json_response({"SuccessfulSubmissions": done, "Errors": errors})

    def end_all(self) -> None:
        """Stop every run and wait for its last state; one that takes too long becomes FAILED at the next start."""
        for process in list(self._processes.values()):
            process.kill()
        deadline = time.monotonic() + END_SECONDS
        while self._processes and time.monotonic() < deadline:
            time.sleep(0.05)

    def _process(self, job: Data, run: Data, arguments: dict[str, str]) -> JobProcess:
        spec = RunSpec(
            run_id=run["Id"],
            account=self._glue.get_account_id(),
            region=self._glue.get_region(),
            url=self._cloud.url,
            role_arn=_role_arn(job.get("Role", ""), self._glue.get_account_id()),
            script_location=arguments.get("--scriptLocation") or (job.get("Command") or {}).get("ScriptLocation", ""),
            arguments=arguments,
            log_group_prefix=log_group_prefix(job, arguments, self._glue._security_configs),
        )
        run["LogGroupName"] = spec.log_group_prefix
        return JobProcess(spec, self._cloud.paths, MOUNTS, self._archives)

    def _live(self, job_name: str, run: Data, process: JobProcess) -> None:
        """Carry out one run from start to end, in a thread of its own."""
        begun = time.monotonic()
        run.update(JobRunState="RUNNING", LastModifiedOn=int(time.time()))
        state, message = self._outcome(run, process)
        now = int(time.time())
        run.update(
            ErrorMessage=message,
            CompletedOn=now,
            LastModifiedOn=now,
            ExecutionTime=round(time.monotonic() - begun),
            JobRunState=state,
        )
        self._processes.pop(run["Id"], None)
        detail = {
            "jobName": job_name,
            "severity": "INFO" if state == "SUCCEEDED" else "ERROR",
            "state": state,
            "jobRunId": run["Id"],
            "message": message or ("Job run succeeded" if state == "SUCCEEDED" else f"Job run {state.lower()}"),
        }
        emit("aws.glue", "Glue Job State Change", detail)

    def _outcome(self, run: Data, process: JobProcess) -> tuple[str, str]:
        try:
            status, error = process.run(float(run["Timeout"]) * 60)
        except LaunchError as failure:
            return "FAILED", str(failure)
        except subprocess.TimeoutExpired:
            return "TIMEOUT", "Job run exceeded the timeout"
        except Exception as failure:  # noqa: BLE001 - a run must end in a state, whatever fails here
            load("services.glue").logger.exception("run %s could not be run", run["Id"])
            return "FAILED", f"{type(failure).__name__}: {failure}"
        if process.refused:
            return "FAILED", process.refused
        if process.killed:
            return "STOPPED", ""
        if status == 0:
            return "SUCCEEDED", ""
        return "FAILED", error or f"Command failed with exit code {status}"

    def _error(self, code: str, message: str) -> Any:
        return self._glue.error_response_json(code, message, 400)


def _role_arn(role: str, account: str) -> str:
    """Return the role's ARN, since a job names its role by ARN or by name."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"


def new_run(job: Data, data: Data) -> Data:
    """Return the record of a run that is about to start; the run's own settings override the job's."""
    now = int(time.time())
    run: Data = {
        "Id": f"jr_{hashlib.sha256(os.urandom(32)).hexdigest()}",
        "Attempt": 0,
        "JobName": job["Name"],
        "JobMode": "SCRIPT",
        "StartedOn": now,
        "LastModifiedOn": now,
        "CompletedOn": None,
        "JobRunState": "STARTING",
        "Arguments": dict(data.get("Arguments") or {}),
        "ErrorMessage": "",
        "PredecessorRuns": [],
        "ExecutionTime": 0,
        "Timeout": int(data.get("Timeout") or job.get("Timeout") or 2880),
        "ExecutionClass": data.get("ExecutionClass") or job.get("ExecutionClass") or "STANDARD",
        "GlueVersion": job.get("GlueVersion", "5.1"),
    }
    for name in ("MaxCapacity", "WorkerType", "NumberOfWorkers", "SecurityConfiguration"):
        if value := data.get(name) or job.get(name):
            run[name] = value
    return run


def shown(run: Data) -> Data:
    """Return a run in the form of the API, without absent members."""
    running = {"ExecutionTime": int(time.time()) - run["StartedOn"]} if run["JobRunState"] in ACTIVE else {}
    return {name: value for name, value in {**run, **running}.items() if value not in (None, "")}
