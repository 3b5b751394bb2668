"""What `drayage doctor` finds of the services beside the steps, and of their ports."""

from drayage.cli.finding import Finding, examined
from drayage.docker_services import Port, Service, find_services, is_open


def service_findings(network: str | None) -> list[Finding]:
    """Examine the services in the steps' network; none are known without a network.

    Args:
        network: The network that every step joins.
    """
    if network is None:
        return []
    services: list[Service] = []

    def found() -> tuple[bool, str]:
        services.extend(find_services(network))
        if not services:
            return False, f"none is in the network {network}: start them."
        return True, f"{len(services)} in the network {network}"

    findings = [examined("services", found)]
    for service in services:
        findings.append(Finding(f"service {service.name}", *_condition(service)))
        findings += [Finding(f"port {port.host}", *_port(service, port)) for port in service.ports]
    return findings


def _condition(service: Service) -> tuple[bool, str]:
    if service.status == "running" and service.health in {None, "healthy"}:
        return True, service.health or "running"
    if service.status == "exited" and service.runs_once and service.exit_code == 0:
        return True, "has done its work and ended"
    if service.status == "running":
        return False, f"{service.health}. See why: docker logs --tail 50 {service.name}"
    ended = f"{service.status} with code {service.exit_code}" if service.status == "exited" else service.status
    return False, f"{ended}. See why: docker logs --tail 50 {service.name}; then: docker start {service.name}"


def _port(service: Service, port: Port) -> tuple[bool, str]:
    if service.status != "running":
        if is_open("127.0.0.1", port.host):
            return False, f"another program has it, which {service.name} needs. Stop that, or choose another port."
        return False, f"nothing answers, for {service.name} does not run"
    if service.answers(port):
        return True, f"{service.name} answers"
    return False, f"{service.name} runs and does not answer. See why: docker logs --tail 50 {service.name}"
