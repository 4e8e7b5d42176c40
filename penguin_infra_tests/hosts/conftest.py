"""The hosts' fixtures for this room's tests."""

from penguin_infra_tests.hosts.fixtures import bare_host, host_pool, hosts_ready, kept_host

__all__ = ["bare_host", "host_pool", "hosts_ready", "kept_host"]
