namespace OrleansFs.Fuse;

/// <summary>The outcome of an operation that answers nothing but success: an errno, or success.</summary>
/// <remarks>Errors are <see cref="Errno"/> and never a bare integer, so that a byte count can never be taken for an error.</remarks>
public readonly struct FuseResult : IEquatable<FuseResult>
{
    private FuseResult(Errno error) => Error = error;

    /// <summary>The operation is done.</summary>
    public static FuseResult Success => default;

    /// <summary>Why it failed; <see cref="Errno.None"/> when it did not.</summary>
    public Errno Error { get; }

    /// <summary>Whether the operation is done.</summary>
    public bool IsSuccess => Error == Errno.None;

    /// <summary>An outcome from an errno.</summary>
    public static implicit operator FuseResult(Errno error) => new(error);

    /// <summary>A completed task of this outcome, so that a synchronous handler can return it directly.</summary>
    public static implicit operator ValueTask<FuseResult>(FuseResult result) => new(result);

    /// <summary>A failure with a given error.</summary>
    public static FuseResult Fail(Errno error) => new(error);

    /// <summary>A failure of an operation that would have answered a <typeparamref name="T"/>.</summary>
    public static FuseResult<T> Fail<T>(Errno error) => error;

    /// <summary>A success with its answer.</summary>
    public static FuseResult<T> Ok<T>(T value) => value;

    /// <inheritdoc/>
    public bool Equals(FuseResult other) => Error == other.Error;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is FuseResult other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Error;

    /// <summary>Equality by error.</summary>
    public static bool operator ==(FuseResult left, FuseResult right) => left.Equals(right);

    /// <summary>Inequality by error.</summary>
    public static bool operator !=(FuseResult left, FuseResult right) => !left.Equals(right);

    /// <inheritdoc/>
    public override string ToString() => IsSuccess ? "success" : Error.ToString();
}

/// <summary>The outcome of an operation that answers a <typeparamref name="T"/>: an errno, or the answer.</summary>
/// <typeparam name="T">The answer.</typeparam>
#pragma warning disable CA1815 // an outcome is read once and never compared
public readonly struct FuseResult<T>
#pragma warning restore CA1815
{
    private readonly T _value;

    private FuseResult(T value)
    {
        _value = value;
        Error = Errno.None;
    }

    private FuseResult(Errno error)
    {
        if (error == Errno.None)
            throw new ArgumentException("A failure needs an errno; success needs a value.", nameof(error));
        _value = default!;
        Error = error;
    }

    /// <summary>Why it failed; <see cref="Errno.None"/> when it did not.</summary>
    public Errno Error { get; }

    /// <summary>Whether there is an answer.</summary>
    public bool IsSuccess => Error == Errno.None;

    /// <summary>The answer. Reading it of a failure is a bug in the caller.</summary>
    public T Value => IsSuccess ? _value : throw new InvalidOperationException($"The operation failed with {Error}: there is no value.");

    /// <summary>A failure.</summary>
    public static implicit operator FuseResult<T>(Errno error) => new(error);

    /// <summary>A success.</summary>
    public static implicit operator FuseResult<T>(T value) => new(value);

    /// <summary>A completed task of this outcome, so that a synchronous handler can return it directly.</summary>
    public static implicit operator ValueTask<FuseResult<T>>(FuseResult<T> result) => new(result);

    /// <inheritdoc/>
    public override string ToString() => IsSuccess ? $"{_value}" : Error.ToString();
}
