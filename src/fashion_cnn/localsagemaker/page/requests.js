// A worker that sends the page's requests. Chromium writes a page's own request that is refused, or finds no server,
// into the console as an error, and none of a worker's: the page says in words what became of it.

onmessage = async ({ data: { path, options }, ports: [port] }) => {
  try {
    const response = await fetch(path, options);
    const body = await response.arrayBuffer();
    port.postMessage({ status: response.status, headers: [...response.headers], body }, [body]);
  } catch {
    port.postMessage(undefined);
  }
};
