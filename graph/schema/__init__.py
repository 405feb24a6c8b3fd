"""How it is shown: the GraphQL schema and its batched resolvers."""
