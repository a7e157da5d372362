"""NATS servers: the embedded one, configuration, roles, the contract, copies and backups."""
