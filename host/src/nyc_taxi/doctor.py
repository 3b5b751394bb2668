"""What ``drayage doctor`` examines of this pipeline beyond the runner: the stack's services and their ports.

compose.yml names :func:`examine_services` in ``DRAYAGE_DOCTOR_CHECKS``.
"""

from drayage import ClientSettings, Finding, examine
from nyc_taxi.docker_services import Port, Service, find_services, is_open


def examine_services(settings: ClientSettings) -> list[Finding]:
    """Examine the services in the network that the steps join.

    Args:
        settings: Their ``network`` is the network; without one there are no services to examine.

    Returns:
        A finding for the services as a whole, for each service, and for each port that it publishes.
    """
    network = settings.network
    if network is None:
        return []
    services: list[Service] = []

    def find() -> tuple[bool, str]:
        services.extend(find_services(network))
        if not services:
            return False, f"the network {network} has none: start them."
        return True, f"{len(services)} in the network {network}"

    findings = [examine("services", find)]
    for service in services:
        findings.append(Finding(f"service {service.name}", *_service_state(service)))
        findings += [Finding(f"port {port.host}", *_port_state(service, port)) for port in service.ports]
    return findings


def _service_state(service: Service) -> tuple[bool, str]:
    if service.status == "running" and service.health in {None, "healthy"}:
        return True, service.health or "running"
    if service.status == "exited" and service.runs_once and service.exit_code == 0:
        return True, "has done its work and ended"
    if service.status == "running":
        return False, f"{service.health}. See why: docker logs --tail 50 {service.name}"
    ended = f"{service.status} with code {service.exit_code}" if service.status == "exited" else service.status
    return False, f"{ended}. See why: docker logs --tail 50 {service.name}; then: docker start {service.name}"


def _port_state(service: Service, port: Port) -> tuple[bool, str]:
    if service.status != "running":
        if is_open("127.0.0.1", port.host):
            return (
                False,
                f"another program has it, and {service.name} needs it. Stop that program, or choose another port.",
            )
        return False, f"nothing answers, because {service.name} does not run"
    if service.answers(port):
        return True, f"{service.name} answers"
    return False, f"{service.name} runs and does not answer. See why: docker logs --tail 50 {service.name}"
