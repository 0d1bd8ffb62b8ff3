"""Cloud Hypervisor: the product's hypervisor, spoken over its REST API on a unix socket."""

from vmpool.drivers.cloud_hypervisor.hypervisor import CloudHypervisor

__all__ = ["CloudHypervisor"]
