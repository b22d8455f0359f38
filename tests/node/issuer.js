// An issuer of OpenID Connect on this machine, as its package has it: prints its address once it listens.
// Argument: JSON of {host, back, client, secret, siret: {login: number or list}, signed}; whoever says a login is believed.
// Browsers go back to an address below `back` that is of this issuer alone.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const { host, back, client, secret, siret, signed } = JSON.parse(process.argv[2]);
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://${host}:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client,
        client_secret: secret,
        redirect_uris: [`${back}/${createHash("sha256").update(issuer).digest("hex").slice(0, 20)}`],
        ...(signed ? { userinfo_signed_response_alg: "RS256" } : {}),
      },
    ],
    claims: { openid: ["sub"], siret: ["siret"] },
    cookies: { keys: ["of a test"] },
    features: { jwtUserinfo: { enabled: true } },
    findAccount: (_, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, siret: siret[id], email: `${id}@town.example`, name: id }),
    }),
    pkce: { required: () => true },
  });
  // Its pages would fetch a font from elsewhere, which nobody here may.
  provider.use(async (context, next) => {
    await next();
    if (typeof context.body === "string") context.body = context.body.replaceAll(/@import[^;]*;/g, "");
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
