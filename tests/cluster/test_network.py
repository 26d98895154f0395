"""Who reaches which port: the policies are read as a cluster reads them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.conftest import Rendered, of_kind

Labels = dict[str, str]
NAMESPACE = "kubernetes.io/metadata.name"
RAY = {"ray.io/is-ray-node": "yes"}
OPERATOR = {"app.kubernetes.io/name": "kuberay-operator"}


def selects(selector: dict[str, Any] | None, labels: Labels) -> bool:
    return selector is not None and selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(peer: dict[str, Any], namespace: str, labels: Labels) -> bool:
    """Without a namespace a peer is in the policy's own."""
    in_namespace = (
        selects(peer["namespaceSelector"], {NAMESPACE: namespace})
        if "namespaceSelector" in peer
        else namespace == "flair" and "podSelector" in peer
    )
    return in_namespace and ("podSelector" not in peer or selects(peer["podSelector"], labels))


def reaches(policies: list[dict[str, Any]], pod: dict[str, Any], port: int, namespace: str, labels: Labels) -> bool:
    names = {one["name"]: one["containerPort"] for c in pod["spec"]["containers"] for one in c.get("ports", [])}
    applying = [
        one["spec"]
        for one in policies
        if selects(one["spec"]["podSelector"], pod["metadata"]["labels"]) and "Ingress" in one["spec"]["policyTypes"]
    ]
    assert applying, "a pod that no policy selects is open to everybody"
    return any(
        any(is_peer(peer, namespace, labels) for peer in rule["from"])
        and ("ports" not in rule or port in [names.get(one["port"], one["port"]) for one in rule["ports"]])
        for spec in applying
        for rule in spec.get("ingress", [])
    )


INSIDE = [6379, 8265, 10001, 52365, 8404, 30000]
"""GCS, dashboard and jobs, client server, agent, HAProxy's statistics, a worker's own."""


@pytest.mark.parametrize(
    ("who", "labels", "at_head", "at_worker"),
    [
        ("flair", RAY, [*INSIDE, 8000, 8080], [*INSIDE, 8000, 8080]),
        ("kuberay-system", OPERATOR, [8000, 8265], []),
        ("kuberay-system", {}, [], []),
        ("ingress-nginx", {}, [], [8000]),
        ("monitoring", {}, [8080, 9101, 44217, 44227], [8080, 9101]),
        ("flair", {"app": "something else"}, [], []),
        ("default", {}, [], []),
        ("default", RAY, [], []),
    ],
)
def test_who_reaches_which_port_of_the_studio(
    who: str, labels: Labels, at_head: list[int], at_worker: list[int], rendered: Rendered, ray_pods: Rendered
) -> None:
    policies = of_kind(rendered["prod"], "NetworkPolicy")
    head, worker = ray_pods["prod"]
    ports = sorted({*INSIDE, 8000, 8080, 9101, 44217, 44227})
    for pod, open_ports in ((head, at_head), (worker, at_worker)):
        got = [port for port in ports if reaches(policies, pod, port, who, labels)]
        assert got == (ports if labels == RAY and who == "flair" else sorted(open_ports))


@pytest.mark.parametrize("overlay", ["kind-batch", "prod-batch"])
def test_nobody_but_the_operator_reaches_a_batch_run(overlay: str, rendered: Rendered, ray_pods: Rendered) -> None:
    policies = of_kind(rendered[overlay], "NetworkPolicy")
    batch = [pod for pod in ray_pods[overlay] if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "batch"]
    assert len(batch) == 2
    for pod in batch:
        for port in (*INSIDE, 8000):
            assert not reaches(policies, pod, port, "ingress-nginx", {})
            assert reaches(policies, pod, port, "flair", RAY)


@pytest.mark.parametrize("overlay", ["kind", "prod"])
def test_what_a_node_reaches(overlay: str, rendered: Rendered, ray_pods: Rendered) -> None:
    """Redis, names, HTTPS; never a machine's metadata service, which hands out its keys."""
    for pod in ray_pods[overlay]:
        rules = [
            rule
            for one in of_kind(rendered[overlay], "NetworkPolicy")
            if selects(one["spec"]["podSelector"], pod["metadata"]["labels"])
            for rule in one["spec"].get("egress", [])
        ]
        ports = {one["port"] for rule in rules for one in rule.get("ports", [])}
        assert {53, 443, 6379} <= ports <= {53, 443, 6379, 6443}
        blocks = [peer["ipBlock"] for rule in rules for peer in rule.get("to", []) if "ipBlock" in peer]
        assert blocks
        assert all(b["cidr"] != "0.0.0.0/0" or "169.254.0.0/16" in b["except"] for b in blocks)


@pytest.mark.parametrize("overlay", ["kind", "prod"])
def test_whatever_else_runs_beside_it_is_closed_both_ways(overlay: str, rendered: Rendered) -> None:
    policies = of_kind(rendered[overlay], "NetworkPolicy")
    other = {"metadata": {"labels": {"app": "something else"}}, "spec": {"containers": []}}
    assert not reaches(policies, other, 8000, "flair", RAY)
    applying = [one["spec"] for one in policies if selects(one["spec"]["podSelector"], {"app": "something else"})]
    assert [("Egress" in spec["policyTypes"], spec.get("egress", [])) for spec in applying] == [(True, [])]
