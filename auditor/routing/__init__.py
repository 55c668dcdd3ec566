"""Questions to the zones' own servers: routes, and the fallback to the resolvers."""
