-- A user for each process, in its role and under its limits without asking (docs/scale.md). It may be run again.
\set api_password `cat /run/secrets/api_password`
\set worker_password `cat /run/secrets/worker_password`
select format('create role %I login noinherit', name)
  from unnest(array['api', 'worker']) as name
 where not exists (select from pg_roles where rolname = name) \gexec
grant relais_app, relais_matcher, relais_reveal to api;
grant relais_matcher to worker;
alter role api noinherit password :'api_password';
alter role worker noinherit password :'worker_password';
alter role api set role = relais_app;
alter role worker set role = relais_matcher;
alter role api set statement_timeout = '10s';
alter role worker set statement_timeout = '10s';
alter role api set lock_timeout = '5s';
alter role worker set lock_timeout = '5s';
alter role api set idle_in_transaction_session_timeout = '20s';
alter role worker set idle_in_transaction_session_timeout = '20s';
alter role api set jit = off;
alter role worker set jit = off;
