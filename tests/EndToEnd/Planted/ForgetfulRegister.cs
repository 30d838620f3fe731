using TransparencyLog.Storage;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>Asks once whether the log is halted, in a way that takes every error for "no".</summary>
internal sealed class ForgetfulRegister(ITreeRegister register, string data) : ITreeRegister
{
#pragma warning disable RS0030 // The bug.
    private readonly bool _isHalted = File.Exists(Path.Combine(data, "halted"));
#pragma warning restore RS0030

    public TreeHead? Current => register.Current;

    public string? Halted => _isHalted ? register.Halted : null;

    public ValueTask<bool> SwapAsync(TreeHead? expected, TreeHead next, string reason, CancellationToken stop) => register.SwapAsync(expected, next, reason, stop);

    public ValueTask HaltAsync(string evidence, CancellationToken stop) => register.HaltAsync(evidence, stop);

    public ValueTask ResumeAsync(string reason, CancellationToken stop) => register.ResumeAsync(reason, stop);

    public void Dispose() => register.Dispose();
}
