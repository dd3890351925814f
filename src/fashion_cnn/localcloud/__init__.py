"""The embedded cloud, on loopback only. Nothing here is needed, or imported, where the cloud is AWS."""
