"""The c-ares engine: aiodns, with the resolvers of the system's configuration."""
