"""Where the guest program keeps things and how much of each; passed in so that it runs anywhere."""

import os


class Settings:
    """Paths, users and limits; the defaults are those of a real machine."""

    port_name = "ona.0"
    control_user = "ona"
    agent_user = "agent"
    inside = "/usr/bin/ona-inside"
    sshd = "/usr/sbin/sshd"
    sshd_empty_directory = "/run/sshd"
    cgroup_root: str | None = "/sys/fs/cgroup/ona"

    line_bytes_max = 64 * 1024
    header_bytes_max = 1024 * 1024
    payload_bytes_max = 1024 * 1024
    connection_output_bytes_max = 256 * 1024
    connections_max = 256
    logins_max = 64
    login_end_seconds = 2.0
    spool_bytes_max = 64 * 1024 * 1024
    input_bytes_max = 4 * 1024 * 1024
    job_pids_max = 4096
    memory_reserve_bytes = 48 * 1024 * 1024
    jobs_max = 10_000
    ended_jobs_max = 200
    ended_bytes_max = 1024 * 1024 * 1024
    question_bytes_max = 16 * 1024
    question_choices_max = 20
    questions_open_max = 16

    def __init__(
        self,
        *,
        run_directory: str = "/run/ona",
        state_directory: str = "/var/lib/ona",
        owns_machine: bool = True,
    ) -> None:
        self.run_directory = run_directory
        self.state_directory = state_directory
        self.owns_machine = owns_machine
        """Whether clock, hostname, entropy and caches are ours to change."""

    def run_path(self, *names: str) -> str:
        """A path below the tmpfs that is emptied of secrets at every freeze."""
        return os.path.join(self.run_directory, *names)

    @property
    def container_file(self) -> str:
        """Is there when jobs of the agent run in a dev container."""
        return os.path.join(self.state_directory, "container.json")

    @property
    def jobs_directory(self) -> str:
        """One directory per job, kept as long as the machine's disk."""
        return os.path.join(self.state_directory, "jobs")
