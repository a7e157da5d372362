"""The log on JetStream: append, read, follow, leases, blobs, snapshots, the work queue."""
