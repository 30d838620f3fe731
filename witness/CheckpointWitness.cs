// add-checkpoint (c2sp.org/tlog-witness, "add-checkpoint"): from the bytes of a request to a cosignature or a refusal. This order of checks satisfies all rows
// of spec/conformance.md 5.2:
//
//     framing 400, origin 404, note 400, signatures 403, checkpoint 400, sizes 400, root of size 0 422
//     [lock of the origin]  old size 409, consistency 422, rate 429, clock, sign, store, show to monitors  [unlock]  200

using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The witness: decides what it may sign, and in which order the effects happen. Safe for concurrent use.</summary>
internal sealed class CheckpointWitness(
    WitnessedLogs logs, IReadOnlyList<ICosigner> cosigners, WitnessStore store, Evidence evidence, DiskSpace space, SigningClock clock, TimeProvider time, TimeSpan limit, ILogger log)
{
    private readonly OncePerMinute _clockLog = new(time);
    private Exception? _halted;

    /// <summary>Why nothing is cosigned any more, until a restart; null while the witness has not halted.</summary>
    public Exception? Halted => Volatile.Read(ref _halted) ?? store.Failure;

    /// <summary>
    /// Why nothing is cosigned now; null while nothing prevents it. A halt lasts until a restart. A wrong clock lasts until the clock is set right, or until an
    /// operator accepts it or restarts the program (<see cref="ClockState"/>). The other states end together with their cause.
    /// </summary>
    public Unavailability? Hindrance => HindranceOf(Halted is not null, store.GuardTrouble is not null, space.IsLow, clock.State);

    /// <summary>
    /// Why no statement is signed now, not even one that states no time and is not stored; null while nothing prevents it. A disk that is nearly full does not: what is
    /// not stored needs no room.
    /// </summary>
    public Unavailability? Silence => SilenceOf(Halted is not null, store.GuardTrouble is not null, clock.State);

    internal static Unavailability? HindranceOf(bool halted, bool guardTrouble, bool diskLow, ClockState clock) => SilenceOf(halted, guardTrouble, ClockState.Right) ?? (diskLow ? Unavailability.DiskFull : clock switch
    {
        ClockState.Right => null,
        ClockState.Ahead => Unavailability.ClockAhead,
        _ => Unavailability.ClockWrong,
    });

    internal static Unavailability? SilenceOf(bool halted, bool guardTrouble, ClockState clock) =>
        halted ? Unavailability.Halted : guardTrouble ? Unavailability.GuardUnavailable : clock == ClockState.Ahead ? Unavailability.ClockAhead : null;

    /// <summary>
    /// Why at least one listed log gets no cosignature now; null while every log can get one. A clock that is behind the last cosignatures of some logs affects
    /// only those logs.
    /// </summary>
    public Unavailability? Trouble => Hindrance ?? (Waiting().Any() ? Unavailability.ClockBehind : null);

    /// <summary>The clock, for reports on it.</summary>
    public SigningClock Clock => clock;

    /// <summary>The listed logs whose last cosignature is later than the clock, and until when they wait.</summary>
    public IEnumerable<(WitnessedLog Log, DateTimeOffset Until)> Waiting()
    {
        foreach (WitnessedLog one in logs.All)
        {
            if (one.Trust.Keys.Count > 0 && one.Latest is CosignedCheckpoint latest && clock.WaitsUntil(FloorOf(one, latest)) is DateTimeOffset until) yield return (one, until);
        }
    }

    /// <summary>Judges one request. Cancellation works only while it waits for its origin's turn; after that it runs to its end.</summary>
    public async Task<CosignOutcome> AddCheckpointAsync(ReadOnlyMemory<byte> body, CancellationToken stop)
    {
        if (Hindrance is Unavailability why and not (Unavailability.ClockWrong or Unavailability.ClockAhead)) return new CosignOutcome.Unavailable(why);
        if (!AddCheckpointRequest.TryParse(body.Span, out AddCheckpointRequest? request, out string error))
        {
            // SPEC TW-24: a malformed body, note or checkpoint is 400.
            return new CosignOutcome.Malformed(error);
        }

        // SPEC TW-20: if the origin is unknown, 404.
        // This comes before anything costly: the note of an unknown log is not even parsed.
        if (logs.Find(request.Checkpoint.Span) is not WitnessedLog known) return new CosignOutcome.UnknownOrigin();
        return await JudgeAsync(known, request, stop) with { Log = known };
    }

    private async Task<CosignOutcome> JudgeAsync(WitnessedLog known, AddCheckpointRequest request, CancellationToken stop)
    {
        using IDisposable coming = store.Announce();
        if (!SubmittedNote.TryParse(request.Checkpoint.Span, known.Trust.Keys, out Note? note)) return new CosignOutcome.Malformed("the checkpoint is not a signed note");

        // SPEC TW-21: without a signature by a trusted key, or with one that fails, 403. SPEC TW-22: unknown keys are ignored.
        // Our own key is not among the trusted keys here: a line with our name is ignored like a line of any unknown key (W-05).
        NoteVerification verification = note.Verify(known.Trust.Keys);
        if (verification.Status == NoteStatus.BadSignature) return new CosignOutcome.NotSigned("invalid signature: a line with the name and ID of a trusted key does not verify");
        if (verification.Status == NoteStatus.NoKnownKey) return new CosignOutcome.NotSigned("no signature by a key that is trusted for this log");

        if (!Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)) return new CosignOutcome.Malformed("the note is not a checkpoint");
        NoteSignature[] logLines = [.. verification.Verified.Select(one => one.Signature)];
        // spec/conformance.md, section 8, point 2: an Ed25519 cosignature covers extension lines and an ML-DSA one does not, so this witness signs no
        // checkpoint that has any.
        if (checkpoint.Extensions.Count > 0) return Refuse(new CosignOutcome.Malformed("a checkpoint with extension lines is not cosigned here"));
        // SPEC TW-23: an old size above the checkpoint's is 400.
        if (request.OldSize > checkpoint.Size) return Refuse(new CosignOutcome.Malformed("the old size is above the size of the checkpoint"));
        // SPEC TW-28: size zero has the root of the empty tree, or 422.
        if (checkpoint.Size == 0 && checkpoint.Root != MerkleHash.Empty) return Refuse(new CosignOutcome.Inconsistent("a checkpoint of size zero has the root hash of the empty tree"));

        if (!known.Gate.Wait(0, CancellationToken.None))
        {
            // This update cannot be part of the frame that the holder of the lock waits for, so that frame must not wait for it.
            coming.Dispose();
            if (!await known.Gate.WaitAsync(limit, stop)) return new CosignOutcome.Unavailable(Unavailability.Busy);
        }

        // From here on the caller may leave. The commit owns the lock, and releases it when the state is decided.
        Task<CosignOutcome> commit = CommitAsync(known, request, checkpoint, logLines, coming);
        try
        {
            return await commit.WaitAsync(limit, time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            // The disk hangs, or the guard. It is not known yet whether the checkpoint will be stored, and the origin stays locked until it is.
            return new CosignOutcome.Unavailable(store.GuardTrouble is null ? Unavailability.Busy : Unavailability.GuardUnavailable);
        }

        CosignOutcome Refuse(CosignOutcome refusal)
        {
            // SPEC TW-32: whatever else is wrong with the request, the log has signed this checkpoint.
            try
            {
                evidence.Keep(known.Latest, checkpoint, logLines, proof: null);
                return refusal;
            }
            catch (StorageException failure)
            {
                return Halt(failure);
            }
        }
    }

    /// <summary>
    /// The commit path. The caller has acquired the origin's lock, and this method releases it at its end.
    /// SPEC TW-39: comparing the old size and storing the new checkpoint are one atomic step.
    /// </summary>
    private async Task<CosignOutcome> CommitAsync(WitnessedLog known, AddCheckpointRequest request, Checkpoint checkpoint, NoteSignature[] logLines, IDisposable coming)
    {
        try
        {
            if (Halted is not null) return new CosignOutcome.Unavailable(Unavailability.Halted);

            // 1. Compare with the newest state, which nobody else can change while the lock is held.
            CosignedCheckpoint? latest = known.Latest;
            if (Judge(latest, request, checkpoint, logLines) is CosignOutcome refusal) return refusal;

            // 2. Limit the rate. Only requests that would be cosigned count, so that clients cannot use up the limit of a log. Requests without its signature
            // have been refused above. So have requests with checkpoints that it has signed and published, except the newest one, which has a separate limit
            // (W-13).
            bool refresh = latest is not null && latest.Checkpoint == checkpoint;
            RateLimits limits = known.Trust.Limits;
            if (!(refresh ? limits.Refresh : limits.Growth).TryTake(out TimeSpan wait)) return new CosignOutcome.TooOften(wait);

            // A note keeps the lines that it had: a request with the same checkpoint and fewer lines removes none.
            if (refresh) logLines = Union(logLines, latest!.LogLines);

            // 3. Get the time. Signing the same checkpoint in the same second would give the same bytes, so there is nothing to store: a flood of such requests
            // costs one sync a second (W-13).
            if (await clock.NextAsync(FloorOf(known, latest)) is not ulong timestamp)
            {
                if (clock.State is not ClockState.Right and ClockState state) return new CosignOutcome.Unavailable(state == ClockState.Ahead ? Unavailability.ClockAhead : Unavailability.ClockWrong);
                if (_clockLog.Due()) log.ClockBehind(known.Origin, latest?.Timestamp ?? 0);
                return new CosignOutcome.Unavailable(Unavailability.ClockBehind);
            }

            if (refresh && timestamp == latest!.Timestamp && logLines.Length == latest.LogLines.Count) return new CosignOutcome.Cosigned(latest.Answer);

            // 4. Sign, with every key or not at all (W-20). Each signature is verified when it is made. A crash here has changed nothing.
            CosignedCheckpoint next = CosignedCheckpoint.Sign(checkpoint, logLines, cosigners, timestamp);

            // 5. SPEC TW-38: the new checkpoint is stored before the answer.
            // When the process crashes after this line, the state is new: the log asks again with the new size as its old size, and gets a fresh cosignature.
            await store.SaveAsync(next.Note, coming);

            // 6. SPEC TW-78: monitors see it before the log does.
            known.Latest = next;

            // 7. SPEC TW-33: 200.
            log.Cosigned(known.Origin, checkpoint.Size);
            return new CosignOutcome.Cosigned(next.Answer);
        }
        catch (Exception failure)
        {
            // SPEC TW-43: the signature is dropped, and what is stored is unknown: nothing is cosigned until a restart has read it again.
            return Halt(failure);
        }
        finally
        {
            known.Gate.Release();
        }
    }

    /// <summary>
    /// The earliest time that the next cosignature may state: the time of the last one, unless an operator has accepted that the time goes back once.
    /// </summary>
    private ulong FloorOf(WitnessedLog known, CosignedCheckpoint? latest) => latest is null ? 0 : clock.FloorOf(known.Origin, latest.Timestamp, latest.Note);

    /// <summary>Returns null when the checkpoint extends the newest one or is equal to it.</summary>
    private CosignOutcome? Judge(CosignedCheckpoint? latest, AddCheckpointRequest request, Checkpoint checkpoint, NoteSignature[] logLines)
    {
        long size = latest?.Checkpoint.Size ?? 0;
        Hash root = latest?.Checkpoint.Root ?? MerkleHash.Empty;

        // SPEC TW-25: the old size is the latest size cosigned for the origin, 0 if there is none; else 409 with that size.
        if (request.OldSize != size)
        {
            // SPEC TW-32: two roots for one size are a fork, whatever the old size says.
            evidence.Keep(latest, checkpoint, logLines, proof: null);
            return new CosignOutcome.Stale(size);
        }

        // SPEC TW-31: the same size with another root is 422.
        if (request.OldSize == checkpoint.Size && root != checkpoint.Root) return Refuse("the latest checkpoint cosigned at this size has another root hash");

        // SPEC TW-29: with old size 0 the proof is empty, or 422. SPEC TW-42: so it is with equal sizes.
        if ((request.OldSize == 0 || request.OldSize == checkpoint.Size) && request.Proof.Count > 0) return new CosignOutcome.Inconsistent("the consistency proof from size zero, or to the same size, is empty");

        // SPEC TW-30: a consistency proof that does not verify is 422.
        return MerkleProof.VerifyConsistency(size, checkpoint.Size, root, checkpoint.Root, [.. request.Proof])
            ? null
            : Refuse("the consistency proof does not verify");

        CosignOutcome.Inconsistent Refuse(string answer)
        {
            // SPEC TW-32: not cosigned; kept as evidence.
            evidence.Keep(latest, checkpoint, logLines, request.Proof);
            return new CosignOutcome.Inconsistent(answer);
        }
    }

    /// <summary>Stops all cosigning, because this copy of the witness was fenced.</summary>
    public void HaltOn(Exception failure) => Halt(failure);

    private CosignOutcome.Unavailable Halt(Exception failure)
    {
        if (Interlocked.CompareExchange(ref _halted, failure, null) is null) log.Halted(failure, failure.Message);
        return new CosignOutcome.Unavailable(Unavailability.Halted);
    }

    /// <summary>The new lines, and the stored lines of keys that have no new line, up to <see cref="LogList.MaxKeysOfOrigin"/>.</summary>
    private static NoteSignature[] Union(NoteSignature[] lines, IReadOnlyList<NoteSignature> stored)
    {
        List<NoteSignature> union = [.. lines];
        foreach (NoteSignature line in stored)
        {
            if (union.Count < LogList.MaxKeysOfOrigin && !Array.Exists(lines, one => one.KeyId == line.KeyId && one.Name == line.Name)) union.Add(line);
        }

        return [.. union];
    }
}

/// <summary>Limits how often a log line is written that clients can cause, so that they cannot fill the operator's disk.</summary>
internal sealed class OncePerMinute(TimeProvider time)
{
    private long _last = long.MinValue;

    /// <summary>True at most once a minute.</summary>
    public bool Due()
    {
        long now = time.GetTimestamp(), last = Volatile.Read(ref _last);
        bool due = last == long.MinValue || time.GetElapsedTime(last, now) >= TimeSpan.FromMinutes(1);
        return due && Interlocked.CompareExchange(ref _last, now, last) == last;
    }
}
