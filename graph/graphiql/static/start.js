// Starts GraphiQL on the address this page came from. What the page shows at first is in its #examples.
"use strict";

const examples = JSON.parse(document.getElementById("examples").textContent);

// Relative to the page, so that it works behind a proxy that adds a prefix.
const fetcher = GraphiQL.createFetcher({ url: window.location.pathname });

// Browsers keep tabs by origin: without a name of our own, those of any other GraphiQL that once ran on this
// port would open here, and our examples would not.
const storage = GraphiQL.createLocalStorage({ namespace: "ocigraph" });

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(
    GraphiQL,
    {
      fetcher,
      storage,
      plugins: [GraphiQLPluginExplorer.explorerPlugin()],
      defaultTabs: examples.length > 0 ? examples : undefined,
      inputValueDeprecation: true,
      schemaDescription: true,
    },
    React.createElement(GraphiQL.Logo, null, "ocigraph"),
  ),
);
