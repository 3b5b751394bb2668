"""Runs containers as pods of a Kubernetes cluster: the engine that ``DRAYAGE_ENGINE=kubernetes`` chooses.

Read ``engine`` first. ``settings`` is what a deployment chooses, ``names`` how our labels are written on a pod,
``pods`` what a pod is made of, ``states`` what its description means, and ``troubles`` why it does not start, or who
ended it. ``endings`` awaits the end of a pod, and ``removal`` removes it. ``mailbox`` and ``delivery`` bring context
and secrets in, ``messages`` brings the messages out through a ``follower``, ``output`` follows the logs, and ``images``
reads files of images. ``drafts`` are containers that were not started; ``takeover`` claims a pod that another process
left. ``debug`` lets people look into pods, through ``terminal``; ``diagnosis`` is for ``drayage doctor``. All of them
ask the cluster through ``api`` (plain requests), ``execution`` (programs in a container) and ``watch`` (changes).
"""

from drayage.kubernetes.engine import KubernetesEngine
from drayage.kubernetes.settings import KubernetesSettings, Volume

__all__ = ["KubernetesEngine", "KubernetesSettings", "Volume"]
