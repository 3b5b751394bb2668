"""Finding the container that this process runs in from its mounts."""

import pytest

from drayage.docker.files import own_container_ids

OWN, OTHER = "a" * 64, "b" * 64
LAYER = "75 48 0:45 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X"
HOSTNAME = f"90 75 254:0 /var/lib/docker/containers/{OWN}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw"
HOSTS = f"91 75 254:0 /docker/containers/{OWN}/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw"
SHARED_MEMORY = (
    f"47 42 0:41 / /var/lib/docker/containers/{OTHER}/mounts/shm rw,nosuid,nodev,noexec shared:3 - tmpfs shm rw"
)


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        ([LAYER, HOSTNAME, HOSTS], [OWN]),
        ([LAYER], []),
        ([LAYER, SHARED_MEMORY], []),
        ([SHARED_MEMORY, HOSTS], [OWN]),
    ],
    ids=["in a container", "in none", "beside one that shares its memory", "in one that sees another's"],
)
def test_only_dockers_own_files_identify_the_container(mounts: list[str], found: list[str]) -> None:
    """A host that mistakes itself for a container would look for its directories among the wrong mounts."""
    assert own_container_ids("\n".join(mounts)) == found
