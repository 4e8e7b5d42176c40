"""A host of the tests is a real machine: it boots, reboots, loses its network and its disk, and is bare again."""

import pytest

from penguin_infra_tests.hosts.host import APT_PROXY_PORT, CommandFailed, Host
from penguin_infra_tests.hosts.pool import HostPool

SMALL_PACKAGE = "ed"


def test_a_host_boots_systemd_as_process_1_and_answers_ssh(bare_host: Host) -> None:
    assert bare_host.run("ps -p 1 -o comm=").strip() == "systemd"
    assert bare_host.run("systemctl is-active ssh").strip() == "active"
    assert bare_host.run("systemctl is-system-running --wait").strip() == "running"
    assert bare_host.run("hostname --fqdn").strip() == f"{bare_host.name}.nodes.test"


def test_a_host_sees_only_its_own_network_and_its_gateway(bare_host: Host) -> None:
    assert f"inet {bare_host.address}/30" in bare_host.run("ip address show eth0")
    assert bare_host.run("ip route show default").split()[:3] == ["default", "via", str(bare_host.gateway)]
    assert "pgt-" not in bare_host.run("ip -oneline link")


def test_a_reboot_is_real_and_keeps_what_is_on_the_disk(bare_host: Host) -> None:
    before = bare_host.boot_id()
    bare_host.run("echo kept > /root/kept; echo gone > /run/gone; iptables -A INPUT -p tcp --dport 9 -j DROP")

    bare_host.reboot()

    assert bare_host.boot_id() != before
    assert bare_host.run("cat /root/kept; cat /proc/sys/kernel/random/boot_id").split() == ["kept", bare_host.boot_id()]
    assert bare_host.run("ls /run/gone", check=False) == ""
    assert "9" not in bare_host.run("iptables -S INPUT")


def test_a_host_that_was_shut_down_and_started_finds_its_disk(bare_host: Host) -> None:
    bare_host.run("echo kept > /root/kept")

    bare_host.stop()
    bare_host.start()

    assert bare_host.run("cat /root/kept").strip() == "kept"


def test_a_cut_network_cuts_ssh_until_it_is_mended(bare_host: Host) -> None:
    bare_host.cut_network()
    with pytest.raises(CommandFailed):
        bare_host.run("true")
    assert bare_host.run_inside("echo alive").strip() == "alive"

    bare_host.mend_network()

    assert bare_host.run("echo back").strip() == "back"


def test_a_cut_outlasts_a_boot_as_a_pulled_cable_does(bare_host: Host) -> None:
    bare_host.cut_network()
    bare_host.reboot()
    with pytest.raises(CommandFailed):
        bare_host.run("true")

    bare_host.mend_network()

    assert bare_host.run("echo back").strip() == "back"


def test_apt_on_a_host_installs_through_the_proxy(bare_host: Host) -> None:
    assert bare_host.run(f"command -v {SMALL_PACKAGE}", check=False) == ""

    bare_host.run(f"apt-get update && apt-get install --yes {SMALL_PACKAGE}", timeout=300)

    assert SMALL_PACKAGE in bare_host.run(f"command -v {SMALL_PACKAGE}")


def test_nothing_but_the_mirrors_is_reached_through_the_proxy(bare_host: Host) -> None:
    connected = f"exec 3<>/dev/tcp/{bare_host.gateway}/{APT_PROXY_PORT}"
    asked = r"printf 'GET http://localhost/ HTTP/1.0\r\n\r\n' >&3"

    assert " 403 " in bare_host.run(f"{connected}; {asked}; head -1 <&3")


def test_a_full_disk_takes_no_more_until_it_is_freed(bare_host: Host) -> None:
    bare_host.fill_disk()
    with pytest.raises(CommandFailed, match="space"):
        bare_host.run(f"apt-get install --yes {SMALL_PACKAGE}", timeout=300)
    with pytest.raises(CommandFailed, match="No space left on device"):
        bare_host.run("mkdir -p /var/lib/new && seq 100000 > /var/lib/new/file")

    bare_host.free_disk()

    bare_host.run(f"apt-get install --yes {SMALL_PACKAGE}", timeout=300)


def test_a_reset_host_is_bare_again_under_the_same_address(bare_host: Host) -> None:
    address, shown = bare_host.address, bare_host.run("cat /etc/ssh/ssh_host_ed25519_key.pub")
    bare_host.run("echo written > /root/written; rm /etc/debian_version")

    bare_host.reset()

    assert bare_host.address == address
    assert bare_host.run("ls /root") == ""
    assert bare_host.run("cat /etc/debian_version").startswith("12")
    assert bare_host.run("cat /etc/ssh/ssh_host_ed25519_key.pub") != shown


def test_a_changed_host_key_is_seen_by_ssh(bare_host: Host) -> None:
    bare_host.replace_host_key()
    with pytest.raises(CommandFailed, match="REMOTE HOST IDENTIFICATION HAS CHANGED"):
        bare_host.run("true")

    bare_host.trust_host_key()

    assert bare_host.run("echo trusted").strip() == "trusted"


def test_a_snapshot_boots_as_another_host_with_all_that_was_written(bare_host: Host, host_pool: HostPool) -> None:
    bare_host.run("echo provisioned > /root/state; rm /etc/issue")
    bare_host.stop()

    copy = host_pool.start_host(layers=[host_pool.snapshot(bare_host)])
    bare_host.start()

    assert copy.run("cat /root/state").strip() == bare_host.run("cat /root/state").strip() == "provisioned"
    assert copy.run("ls /etc/issue", check=False) == ""
    assert copy.address != bare_host.address
    assert copy.run("hostname").strip() == copy.name
    copy.run("rm /root/state")
    assert bare_host.run("cat /root/state").strip() == "provisioned"
    host_pool.release(copy)
