using TransparencyLog.Server;

return await Commands.RunAsync(args).ConfigureAwait(false);
